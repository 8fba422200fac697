import { type GpuInventory, readGpus } from '../src/engine/gpus.js'
import type { GeneratorConfig, GpuName } from './config/generators.js'

/** Names of cards as CUDA_VISIBLE_DEVICES takes them: by process of one generator. */
export interface VisibleGpus {
  generate: string[]
  /** One list per proof worker. */
  prove: string[][]
}

/** Every card of a generator once, those it generates on first: what all of its processes together may see. */
export function cardsOf({ gpus }: Pick<GeneratorConfig, 'gpus'>): GpuName[] {
  return [...new Set([...gpus.generate, ...gpus.prove.flat()])]
}

/**
 * What each process of a generator may see. The supervisor's file names all of its cards in CUDA_VISIBLE_DEVICES, by UUID
 * where they were known when it was rendered, and in the order of cardsOf(): those names are taken. A generator that was
 * started otherwise takes the inventory's.
 * @param visible CUDA_VISIBLE_DEVICES of this process
 */
export function visibleGpus(generator: Pick<GeneratorConfig, 'gpus'>, visible: string | undefined): VisibleGpus {
  const cards = cardsOf(generator)
  const rendered = (visible ?? '').split(',').filter(name => name !== '')
  const names = new Map(
    cards.map((card, at) => [card, rendered.length === cards.length ? rendered[at]! : String(card)]),
  )
  const nameOf = (card: GpuName): string => names.get(card)!
  return { generate: generator.gpus.generate.map(nameOf), prove: generator.gpus.prove.map(cards => cards.map(nameOf)) }
}

/**
 * Numbers in place of UUIDs, for generation servers, which take CUDA_VISIBLE_DEVICES for a list of numbers and end with a
 * ValueError on a UUID: vLLM always (vllm-project/vllm issues 13815, 32569), SGLang where it splits a model over several
 * cards (sgl-project/sglang pull request 25996). Numbers are as of now, and mean nvidia-smi's cards only with
 * CUDA_DEVICE_ORDER=PCI_BUS_ID. What nvidia-smi does not list stays as it is.
 */
export async function numbered(
  names: readonly string[],
  read: () => Promise<GpuInventory> = readGpus,
): Promise<string[]> {
  if (names.every(name => /^\d+$/.test(name))) return [...names]
  const found = await read()
  const cards = found.mode === 'gpu' ? found.gpus : []
  return names.map(name => String(cards.find(({ uuid }) => uuid === name)?.index ?? name))
}
