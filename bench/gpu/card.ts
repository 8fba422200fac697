import { execFile, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { type Gpu, readGpus } from '../../src/engine/gpus.js'

const run = promisify(execFile)
/** Importing torch from a cold disk. */
const ASK_MS = 180_000
/** How often the card's memory is looked at, ms: weights and caches stay for seconds. */
const LOOK_EVERY_MS = 200
const MIB_PER_GIB = 1024

/** A card that can be measured on, and the attention its Python has for it. */
export interface Bench {
  card: Gpu
  attention: 'flash_attention_2' | 'sdpa'
}

const SEES = `import importlib.util, torch
print("cuda" if torch.cuda.is_available() else torch.__version__)
print("yes" if importlib.util.find_spec("flash_attn") else "no")`

/**
 * The first card of this machine, or a sentence that says why nothing can be measured.
 * @param nvidiaSmi by name or path
 * @param python with the worker's requirements
 */
export async function findBench(nvidiaSmi: string, python: string): Promise<Bench | string> {
  const found = await readGpus(nvidiaSmi)
  if (found.mode === 'cpu') return `no NVIDIA GPU (${found.reason})`
  const [card] = found.gpus
  let answer: string[]
  try {
    answer = (await run(python, ['-c', SEES], { timeout: ASK_MS, env: cardEnvironment(card!) })).stdout.split('\n')
  } catch {
    return `${python} has no torch: run supervisor/setup/python.sh cuda, or name another Python by GRAIL_PYTHON`
  }
  if (answer[0] !== 'cuda')
    return `torch ${answer[0]} of ${python} sees no GPU: run supervisor/setup/python.sh cuda, or name another Python by GRAIL_PYTHON`
  return { card: card!, attention: answer[1] === 'yes' ? 'flash_attention_2' : 'sdpa' }
}

/** What a worker on this card is started with; nothing else is inherited. */
export function cardEnvironment({ uuid }: Gpu): Record<string, string> {
  const { PATH = '/usr/bin:/bin', HOME = '/', LD_LIBRARY_PATH } = process.env
  return {
    PATH,
    HOME,
    ...(LD_LIBRARY_PATH === undefined ? {} : { LD_LIBRARY_PATH }),
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    CUDA_VISIBLE_DEVICES: uuid,
  }
}

/** Looks at the card's memory until stop(), which gives the most that was in use, GiB. */
export function watchMemory(nvidiaSmi: string, { uuid }: Gpu): { stop(): number } {
  const asking = spawn(
    nvidiaSmi,
    [`--id=${uuid}`, '--query-gpu=memory.used', '--format=csv,noheader,nounits', `-lms=${LOOK_EVERY_MS}`],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  )
  let most = 0
  asking.on('error', () => {})
  createInterface({ input: asking.stdout }).on('line', line => {
    most = Math.max(most, Number(line) || 0)
  })
  return {
    stop() {
      asking.kill()
      return most / MIB_PER_GIB
    },
  }
}
