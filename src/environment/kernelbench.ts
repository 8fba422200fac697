import { z } from 'zod'
import { type DatasetPlaces, loadPart } from './dataset/dataset.js'
import { DatasetError, type DatasetPart } from './dataset/part.js'
import { holdBack, splitRandom } from './problem-index.js'

const whole = z.union([z.int(), z.bigint().transform(Number)])
const kernelRow = z.object({ code: z.string(), level: whole })
export type KernelRow = z.output<typeof kernelRow>

export const KERNEL_SPLITS = ['train', 'val', 'all'] as const
export type KernelSplit = (typeof KERNEL_SPLITS)[number]

const LEVELS = [1, 2, 3, 4]
/** Share of a level's rows that is held back, at least one row (grail/environments/gpu_kernel/task_sources.py:182-313, 54d6342). */
const VALIDATION_SHARE = 0.2

/** Rows of a split: every level is parted on its own, in ascending order with one generator; `all` is train followed by val. */
export function kernelSplit(rows: readonly KernelRow[], split: KernelSplit): KernelRow[] {
  const random = splitRandom()
  const levels = [...new Set(rows.map(row => row.level))].sort((a, b) => a - b)
  const parted = levels.map(level => {
    const here = rows.filter(row => row.level === level)
    return holdBack(here, Math.max(1, Math.trunc(here.length * VALIDATION_SHARE)), random)
  })
  const train = parted.flatMap(part => part.train)
  const validation = parted.flatMap(part => part.validation)
  if (split === 'all') return [...train, ...validation]
  return split === 'train' ? train : validation
}

/** All levels of KernelBench that exist, in order. */
export async function loadKernelBench(places: DatasetPlaces, signal: AbortSignal): Promise<KernelRow[]> {
  const rows: KernelRow[] = []
  let absent: unknown
  for (const level of LEVELS) {
    try {
      rows.push(...(await loadPart(kernelPart(level), places, signal)))
    } catch (cause) {
      // the fourth level came later, and not every copy has it
      if (!(cause instanceof DatasetError && cause.absent)) throw cause
      absent ??= cause
    }
  }
  if (rows.length === 0) throw absent
  return rows
}

/** The hub's part with the rows of one level. */
export function kernelPart(level: number): DatasetPart<KernelRow> {
  return { repository: 'ScalingIntelligence/KernelBench', config: '', split: `level_${level}`, row: kernelRow }
}
