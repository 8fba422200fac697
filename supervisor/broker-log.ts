import type { Log } from '../actors/actor.js'
import type { BrokerStatus } from '../nats/index.js'

type Spoken = [level: keyof Log, text: string]

const SPOKEN: Readonly<Record<BrokerStatus['type'], Spoken>> = {
  connected: ['debug', 'connected to the broker'],
  disconnected: ['warn', 'the connection to the broker is lost'],
  reconnecting: ['debug', 'the broker is dialled'],
  reconnected: ['info', 'connected to the broker again'],
  isolated: ['warn', 'this server of the broker answers nothing that is stored: another one is tried'],
  'lame-duck': ['info', 'this server of the broker will stop soon'],
  'slow-consumer': ['warn', 'the broker dropped us for reading too slowly'],
  error: ['warn', 'the broker complains'],
  closed: ['debug', 'the connection to the broker is closed'],
}

/** What happens to an actor's connection, for people. */
export function logBroker(log: Log, status: BrokerStatus): void {
  const { type, ...facts } = status
  const [level, text] = SPOKEN[type]
  // Closed for good without having been asked to: the actor ends by it.
  if (type === 'closed' && status.why) log.error({ why: status.why.message }, text)
  else log[level](facts, text)
}
