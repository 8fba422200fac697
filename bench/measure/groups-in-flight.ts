import { randomUUID } from 'node:crypto'
import type { Ask, Dialect, Sample, SampleRequest } from '../../src/engine/server/dialect.js'

export interface Full<Made> {
  /** In the order they ended, ms of performance.now(). */
  done: { endedMs: number; made: Made }[]
  /** When no more were begun. */
  untilMs: number
}

/**
 * Keeps as many groups open as `room` says (at least one) for `ms`, then waits for those that are. The first that fails ends it.
 * @param group makes the group of that number, from 0
 * @param over called when no more are begun
 */
export async function keepFull<Made>(
  ms: number,
  room: () => number,
  group: (number: number) => Promise<Made>,
  over: () => void = () => {},
): Promise<Full<Made>> {
  const beganMs = performance.now()
  const done: Full<Made>['done'] = []
  const open = new Set<Promise<void>>()
  let failed: unknown
  for (let number = 0; performance.now() - beganMs < ms && failed === undefined; ) {
    while (open.size < room()) {
      const one: Promise<void> = group(number++)
        .then(
          made => void done.push({ made, endedMs: performance.now() }),
          (error: unknown) => {
            failed ??= error
          },
        )
        .finally(() => open.delete(one))
      open.add(one)
    }
    await Promise.race(open)
  }
  const untilMs = performance.now()
  over()
  await Promise.all(open)
  if (failed !== undefined) throw failed
  return { done, untilMs }
}

/** A group's completions, asked of a server without anything else. */
export function sampleGroup(
  dialect: Dialect,
  ask: Ask,
  size: number,
  request: Omit<SampleRequest, 'id' | 'logprobs'>,
): Promise<Sample[]> {
  const sample = () => dialect.sample(ask, { ...request, id: randomUUID(), logprobs: false })
  return Promise.all(Array.from({ length: size }, sample))
}
