import type { GeneratorInput } from './generators.js'

/** How one generator uses a server's cards. */
interface Preset {
  /** Cards per generator; a server has as many generators as it has cards for. */
  cards: number
  /** Of these, the last ones prove and do nothing else, one worker on each; 0 has one worker spread over all of them. */
  provers: number
  /** Completions a transformers engine samples at once; 0 takes the whole group. Servers batch by themselves. */
  batch: number
}

/**
 * Layouts by size of the model. The first five are the table of the guide for eight A100 with 80 GB, "Recommended Settings
 * by Model Size": workers, GPUs per worker, generation batch (Agile-Ascent-Limited/Grail docs/8xA100-MINING-GUIDE.md,
 * 2a0410a). Its example for 30B has two cards per worker where its table has four; the table is followed. The last one is
 * what 4,477 rollouts per window were measured with, 7B on eight A100: one server over four cards, a proof worker on each
 * of the others (one-covenant/grail RELEASE_NOTE.md, v0.0.59, 54d6342).
 */
const PRESETS = {
  '4b': { cards: 1, provers: 0, batch: 8 },
  '8b': { cards: 1, provers: 0, batch: 4 },
  '14b': { cards: 2, provers: 0, batch: 4 },
  '30b': { cards: 4, provers: 0, batch: 2 },
  '70b': { cards: 8, provers: 0, batch: 1 },
  '8b-split': { cards: 8, provers: 4, batch: 0 },
} as const satisfies Record<string, Preset>

export type PresetName = keyof typeof PRESETS
export const presetNames = Object.keys(PRESETS) as [PresetName, ...PresetName[]]

/** Cards of the guide's server. */
export const PRESET_CARDS = 8

/**
 * The generators of a server with `cards` cards, counted as nvidia-smi does.
 * @returns a sentence when there are too few for one generator
 */
export function presetGenerators(name: PresetName, cards: number): GeneratorInput[] | string {
  const { cards: each, provers, batch }: Preset = PRESETS[name]
  const count = Math.floor(cards / each)
  if (count === 0) return `preset "${name}" needs ${each} cards, this host has ${cards}`
  return Array.from({ length: count }, (_, n) => {
    const all = Array.from({ length: each }, (_, i) => n * each + i)
    const gpus = provers === 0 ? all : { generate: all.slice(0, -provers), prove: all.slice(-provers) }
    return { gpus, ...(batch === 0 ? {} : { batch }) }
  })
}
