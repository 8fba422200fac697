import type { EngineStatus } from '../../src/engine/engine.js'
import type { Presence } from '../presence.js'

/** What a generator's presence says of its generation server. */
export function serverPresence({ server, reason, groups, generation }: EngineStatus): Presence['server'] {
  const { generating, limit, proving, waiting } = groups
  const busy = generation.busyMs / Math.max(1, generation.ofMs)
  return { state: server, reason, generating, limit, proving, waiting, busy: Number(busy.toFixed(4)) }
}
