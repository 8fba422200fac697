import type { Test } from 'tap'
import type { JournalEvent } from '../../actors/journal.js'
import type { Outcome } from '../../src/window/summary.js'
import type { World } from './world.js'

/** Waits for a window's summary and compares what it came to; on failure tells the window's journal and what actors warned of. */
export async function becomes(
  t: Test,
  world: World,
  { window, epoch = 1, state }: { window: number; epoch?: number; state: Outcome },
): Promise<Extract<JournalEvent, { kind: 'summarised' }>> {
  const event = await world.event('summarised', found => found.window === window && found.epoch === epoch)
  const { payload } = event
  t.equal(
    payload.state,
    state,
    `the window is ${state}`,
    payload.state === state ? {} : { journal: story(world, window) },
  )
  return event
}

/** Log lines that tell of trouble: pino's 40 is warn, 50 error. */
const TROUBLE = /"level":(40|50|60)/

function story(world: World, window: number): string[] {
  const events = world.events.filter(event => event.window === window)
  const beganMs = events[0]?.timeMs ?? 0
  return [
    ...events.map(({ timeMs, kind, epoch, index, payload }) =>
      [timeMs - beganMs, kind, epoch, index, kind === 'staged' ? '' : JSON.stringify(payload)].join(' '),
    ),
    ...[...world.actors.values()].flatMap(({ lines }) => lines.filter(line => TROUBLE.test(line)).slice(-5)),
  ]
}
