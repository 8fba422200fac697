import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import type { ProverOptions } from '../../src/engine/server/proof-workers.js'
import type { Circumstances } from '../benchmark.js'
import { type Figure, figure } from '../report/figure.js'
import { type Bench, cardEnvironment, watchMemory } from './card.js'
import { randomCheckpoints } from './checkpoint.js'
import { LONG_TOKENS, QWEN3_4B, type Shape } from './shape.js'

/** What is measured with. */
export interface OnCard {
  shape: Shape
  /** Of the shape. */
  checkpoints: readonly [Checkpoint, Checkpoint]
  /** A worker on the card. */
  worker: ProverOptions & { env: Record<string, string> }
  /** For whatever else is needed; gone afterwards. */
  folder: string
  /** Card, shape, attention and length of the completions, for a title. */
  where: string
}

/**
 * Measures on a card at Qwen3-4B's shape; its memory is watched meanwhile and comes last. Where nothing can be measured the reason
 * is said, and there are no figures.
 * @param found the card, or why there is none
 * @param id of the figures' benchmark
 */
export async function onCard(
  found: Bench | string,
  id: string,
  { nvidiaSmi, python }: { nvidiaSmi: string; python: string },
  { long, say }: Circumstances,
  measure: (on: OnCard) => Promise<Figure[]>,
): Promise<Figure[]> {
  if (typeof found === 'string') {
    say(`skipped: ${found}`)
    return []
  }
  const { card, attention } = found
  const shape = long ? { ...QWEN3_4B, maxTokens: LONG_TOKENS } : QWEN3_4B
  if (attention === 'sdpa') say('flash-attn is not installed: SDPA proves in its place, which no validator does')
  const folder = mkdtempSync(join(tmpdir(), 'grail-gpu-'))
  const memory = watchMemory(nvidiaSmi, card)
  try {
    const worker = { python, env: cardEnvironment(card), device: 'cuda', attention }
    say(`making two checkpoints of ${shape.name}'s shape`)
    const checkpoints = await randomCheckpoints({ shape, python, env: worker.env, folder })
    const where = `${card.name}, ${shape.name}, ${attention}, completions of ${shape.maxTokens}`
    const figures = await measure({ shape, checkpoints, worker, folder, where })
    const most = {
      id: `${id}.memory`,
      title: '  most of the card’s memory in use',
      unit: 'GiB',
      values: [memory.stop()],
    }
    return [...figures, figure(most)]
  } finally {
    memory.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
