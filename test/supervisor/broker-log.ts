import t from 'tap'
import type { Log } from '../../actors/actor.js'
import { BrokerError, type BrokerStatus } from '../../nats/index.js'
import { logBroker } from '../../supervisor/broker-log.js'

const cases: [status: BrokerStatus, level: keyof Log, facts: object, text: RegExp][] = [
  [{ type: 'connected', server: 'a:1' }, 'debug', { server: 'a:1' }, /connected/],
  [{ type: 'disconnected', server: 'a:1' }, 'warn', { server: 'a:1' }, /lost/],
  [{ type: 'reconnected', server: 'b:1' }, 'info', { server: 'b:1' }, /again/],
  [{ type: 'isolated', server: 'a:1' }, 'warn', { server: 'a:1' }, /another one is tried/],
  [{ type: 'slow-consumer', why: 'slow' }, 'warn', { why: 'slow' }, /too slowly/],
  [{ type: 'closed' }, 'debug', {}, /closed/],
  [{ type: 'closed', why: new BrokerError('auth', 'refused') }, 'error', { why: 'refused' }, /closed/],
]

t.test('what happens to the connection is told: loss and isolation as a warning, the end with its reason', t => {
  for (const [status, level, facts, text] of cases) {
    const lines: [string, object, string][] = []
    const to = (name: keyof Log) => (given: object, said: string) => void lines.push([name, given, said])
    logBroker({ debug: to('debug'), info: to('info'), warn: to('warn'), error: to('error') }, status)
    t.match(lines, [[level, facts, text]], `${status.type}: ${level}`)
  }
  t.end()
})
