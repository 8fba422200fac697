import { type Broker, presentKeys, watchPresence } from '../../nats/index.js'
import type { Alive } from '../../src/window/claim.js'
import type { Log } from '../actor.js'
import { decodePresence, type Presence } from '../presence.js'
import { FLEET } from '../streams.js'

/** Who is alive, by the server's word. */
export interface Fleet {
  /** Asks the server which presences have not expired. Throws BrokerError when it does not answer. */
  refresh(signal: AbortSignal): Promise<void>
  members(): Presence[]
  /** Live generators with the indices they list for this window and epoch. */
  alive(window: number, epoch: number): Map<string, Alive>
  /** ss58 of the hotkey the active aggregator signs with; undefined while none is present. */
  hotkey(): string | undefined
  done: Promise<void>
}

/** Follows presences: what they say comes as messages, that they expired is asked of the server. */
export function followFleet(broker: Broker, { signal, log }: { signal: AbortSignal; log: Log }): Fleet {
  const said = new Map<string, { presence: Presence; seenMs: number }>()
  let live = new Set<string>()
  const done = watchPresence(broker, FLEET, {
    signal,
    onPresence: ({ key, value, timeMs }) => {
      try {
        said.set(key, { presence: decodePresence(value), seenMs: timeMs })
        live.add(key)
      } catch (error) {
        log.warn({ key, err: error }, 'a presence cannot be read: is it of another version?')
      }
    },
  })
  const present = () => [...said].filter(([key]) => live.has(key))
  return {
    async refresh(aborted) {
      live = new Set(await presentKeys(broker, FLEET, { signal: aborted }))
      for (const key of said.keys()) if (!live.has(key)) said.delete(key)
    },
    members: () => present().map(([, { presence }]) => presence),
    alive(window, epoch) {
      const found = new Map<string, Alive>()
      for (const [, { presence, seenMs }] of present()) {
        if (presence.role !== 'generator') continue
        const same = presence.window === window && presence.epoch === epoch
        found.set(presence.instance, { boot: presence.boot, inFlight: same ? (presence.inFlight ?? []) : [], seenMs })
      }
      return found
    },
    hotkey: () =>
      present().find(([, { presence }]) => presence.role === 'aggregator' && presence.hotkey !== undefined)?.[1]
        .presence.hotkey,
    done,
  }
}
