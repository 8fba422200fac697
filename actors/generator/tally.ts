import { type Broker, tell } from '../../nats/index.js'
import { summaryLive } from '../controller/messages.js'
import type { OpenWindow } from '../windows.js'
import type { Staged } from './messages.js'

/** What this generator did in each window, for its own line on grail.summary. */
export interface Tallies {
  staged(window: OpenWindow, rollouts: number, bytes: number, seconds: Staged['seconds']): void
  dropped(window: OpenWindow, reason: string): void
  /** Says what came of a window that is over, once; nothing when nothing was done in it. */
  report(window: OpenWindow): void
}

interface Tally {
  staged: number
  rollouts: number
  bytes: number
  dropped: Record<string, number>
  seconds: Staged['seconds']
}

export function keepTallies(broker: Broker, actor: string): Tallies {
  const tallies = new Map<string, Tally>()
  const keyOf = ({ window, epoch }: OpenWindow) => `${window}.${epoch}`
  const of = (window: OpenWindow): Tally => {
    const known = tallies.get(keyOf(window))
    if (known) return known
    const seconds = { prompt: 0, generate: 0, prove: 0, reward: 0, stage: 0 }
    const tally = { staged: 0, rollouts: 0, bytes: 0, dropped: {}, seconds }
    tallies.set(keyOf(window), tally)
    return tally
  }
  return {
    staged(window, rollouts, bytes, seconds) {
      const tally = of(window)
      tally.staged++
      tally.rollouts += rollouts
      tally.bytes += bytes
      for (const step of Object.keys(seconds) as (keyof typeof seconds)[]) tally.seconds[step] += seconds[step]
    },
    dropped(window, reason) {
      const { dropped } = of(window)
      dropped[reason] = (dropped[reason] ?? 0) + 1
    },
    report(window) {
      const tally = tallies.get(keyOf(window))
      if (!tally) return
      tallies.delete(keyOf(window))
      const { staged, rollouts, bytes, dropped, seconds } = tally
      const state = staged > 0 ? ('STAGED' as const) : ('EMPTY' as const)
      const checkpoint = window.opened.checkpoint.window
      const place = { actor, window: window.window, epoch: window.epoch, checkpoint }
      tell(
        broker,
        summaryLive,
        {},
        { ...place, state, rollouts, problems: staged, dropped, duplicates: 0, bytes, seconds },
      )
    },
  }
}
