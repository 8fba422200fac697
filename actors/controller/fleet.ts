import { type Broker, watchPresence } from '../../nats/index.js'
import type { Alive } from '../../src/window/claim.js'
import type { Log } from '../actor.js'
import { decodePresence, type Presence } from '../presence.js'
import { FLEET } from '../streams.js'

/** Who is alive, by the server's word: a presence that is not renewed ages out there. */
export interface Fleet {
  members(): Presence[]
  /** Live generators with the indices they list for this window and epoch. */
  alive(window: number, epoch: number): Map<string, Alive>
  /** ss58 of the hotkey the aggregator signs with; undefined while none is present. */
  hotkey(): string | undefined
  caughtUp: Promise<void>
  done: Promise<void>
}

export function followFleet(broker: Broker, { signal, log }: { signal: AbortSignal; log: Log }): Fleet {
  const present = new Map<string, { presence: Presence; seenMs: number }>()
  const { caughtUp, done } = watchPresence(broker, FLEET, {
    signal,
    onChange: change => {
      if (change.type === 'gone') {
        log.info({ key: change.key }, 'gone')
        present.delete(change.key)
        return
      }
      try {
        present.set(change.key, { presence: decodePresence(change.bytes), seenMs: change.timeMs })
      } catch (error) {
        log.warn({ key: change.key, err: error }, 'a presence cannot be read: is it of another version?')
      }
    },
  })
  return {
    members: () => [...present.values()].map(({ presence }) => presence),
    alive(window, epoch) {
      const found = new Map<string, Alive>()
      for (const { presence, seenMs } of present.values()) {
        if (presence.role !== 'generator') continue
        const same = presence.window === window && presence.epoch === epoch
        found.set(presence.instance, { boot: presence.boot, inFlight: same ? (presence.inFlight ?? []) : [], seenMs })
      }
      return found
    },
    hotkey: () =>
      [...present.values()].find(({ presence }) => presence.role === 'aggregator' && presence.hotkey !== undefined)
        ?.presence.hotkey,
    caughtUp,
    done,
  }
}
