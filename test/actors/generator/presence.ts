import t from 'tap'
import { systemClock } from '../../../actors/actor.js'
import { ensureStreams } from '../../../actors/ensure.js'
import type { GeneratorParts } from '../../../actors/generator/desk.js'
import { runGenerator } from '../../../actors/generator/generator.js'
import { decodePresence, type Presence } from '../../../actors/presence.js'
import { FLEET } from '../../../actors/streams.js'
import { watchPresence } from '../../../nats/index.js'
import type { EngineStatus } from '../../../src/engine/engine.js'
import { presenceLine } from '../../../supervisor/commands/status.js'
import { brokerOf, inTime, natsServerAbsent, startNats, until } from '../../helpers/nats-server.js'
import { outside } from './helpers/parts.js'

t.test('a generator says how its generation server is', { skip: natsServerAbsent }, async t => {
  const broker = await brokerOf(t, await startNats(t))
  await ensureStreams(broker, { replicas: 1, presenceMs: 4_000, leaseMs: 4_000, signal: inTime() })
  let status: EngineStatus | undefined = {
    server: 'ready',
    reason: '',
    groups: { generating: 5, limit: 6, proving: 1, waiting: 2 },
    generation: { busyMs: 99_123, ofMs: 100_000 },
  }
  const { parts } = outside()
  const end = new AbortController()
  const facts = { broker, clock: systemClock, instance: 'generator-test-0', boot: 'b', host: 'test', version: '1' }
  const running = runGenerator(
    { ...parts, ...facts, gpus: [], lanes: 1, holes: 'keep', engineStatus: () => status } as unknown as GeneratorParts,
    end.signal,
  )
  let said: Presence | undefined
  const watched = watchPresence(broker, FLEET, {
    signal: end.signal,
    onChange: change => {
      if (change.type !== 'gone') said = decodePresence(change.bytes)
    },
  })
  const saying = (look: (presence: Presence) => boolean) =>
    until('presence says so', () => (said && look(said) ? said : undefined))

  const first = await saying(({ server }) => server !== undefined)
  t.same(first.server, {
    ...{ state: 'ready', reason: '', generating: 5, limit: 6, proving: 1, waiting: 2 },
    busy: 0.9912,
  })
  t.match(
    presenceLine(first),
    /server ready: 5 of 6 groups generating, 2 waiting, 1 proving, busy 99\.1 % since its weights were loaded$/,
    'which grail status prints',
  )
  status = { ...status, server: 'restarting', reason: 'it ended with code 1' }
  const later = await saying(({ server }) => server?.state === 'restarting')
  t.match(
    presenceLine(later),
    /server restarting \(it ended with code 1\): 5 of 6/,
    'with the reason when it is not ready',
  )
  status = undefined
  const silent = await saying(({ server }) => server === undefined)
  t.notMatch(presenceLine(silent), /server/, 'an engine without one has nothing to say')
  end.abort(new Error('the test is over'))
  await Promise.allSettled([running, watched.done])
})
