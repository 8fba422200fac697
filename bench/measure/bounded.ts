import { setTimeout as sleep } from 'node:timers/promises'

/** Cleans up after a benchmark, last things first, whatever happened. Takes the place of tap's `t` for the test helpers. */
export interface Bench {
  teardown(end: () => Promise<void>): void
}

/** Runs `work`, then everything it has handed to `teardown`, also when it fails. */
export async function cleanly<T>(work: (bench: Bench) => Promise<T>): Promise<T> {
  const ends: (() => Promise<void>)[] = []
  try {
    return await work({ teardown: end => void ends.push(end) })
  } finally {
    for (const end of ends.reverse()) await end().catch(error => console.error('clean-up:', error))
  }
}

/** Looks every `everyMs` until `look` gives something. @throws Error naming `what` after `withinMs` */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  { withinMs = 60_000, everyMs = 20 }: { withinMs?: number; everyMs?: number } = {},
): Promise<T> {
  const end = Date.now() + withinMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (Date.now() > end) throw new Error(`never within ${withinMs} ms: ${what}`)
    await sleep(everyMs)
  }
}
