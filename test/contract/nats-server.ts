import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import {
  claim,
  connectBroker,
  ensureClaimBucket,
  ensureStore,
  fold,
  isBrokerError,
  renderServerConfig,
  type ServerSettings,
} from '../../nats/index.js'
import { freePort } from '../helpers/free-port.js'
import { brokerOf, inTime, type NatsServer, natsServerAbsent, startNats, until } from '../helpers/nats-server.js'

const PASSWORD = 'a"b\\c $HOME #d'

await t.test('a rendered server alone', { skip: natsServerAbsent }, async t => {
  const folder = await mkdtemp(join(tmpdir(), 'grail-nats-one-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const port = await freePort()
  const settings: ServerSettings = {
    name: 'host-a',
    host: '127.0.0.1',
    port,
    storeDir: folder,
    user: 'fleet',
    password: PASSWORD,
  }
  const server = await startNats(t, { port, storeDir: folder, config: renderServerConfig(settings) })

  await t.test('fits what we need, under its name', async t => {
    const broker = await brokerOf(t, server, { user: 'fleet', password: PASSWORD })
    t.match(broker.info, { serverName: 'host-a', maxPayload: 8 * 1024 * 1024 })
    // That the password stands there in clear is known: the file is for its user alone.
    const complaints = server
      .output()
      .split('\n')
      .filter(line => /\[(ERR|WRN|FTL)\]/.test(line))
    t.same(
      complaints.filter(line => !line.includes('Plaintext passwords')),
      [],
    )
  })

  await t.test('lets nobody in without the password', async t => {
    await t.rejects(connectBroker({ servers: [server.url], name: 'test', signal: inTime() }), { code: 'auth' })
  })

  await t.test('gives JetStream the room it was told', async t => {
    const broker = await brokerOf(t, server, { user: 'fleet', password: PASSWORD })
    await t.rejects(ensureStore(broker, 'LARGE', { signal: inTime(), maxBytes: 60 * 1024 ** 3, giveUpAfterMs: 0 }))
    await ensureStore(broker, 'FITS', { signal: inTime(), maxBytes: 40 * 1024 ** 3 })
  })
})

await t.test('three rendered servers', { skip: natsServerAbsent }, async t => {
  const folder = await mkdtemp(join(tmpdir(), 'grail-nats-three-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const signal = inTime()
  const names = ['host-a', 'host-b', 'host-c']
  const ports = await Promise.all(names.map(async () => ({ client: await freePort(), cluster: await freePort() })))
  const login = { user: 'fleet', password: 'secret:@/pass' }
  const servers = await Promise.all(
    names.map((name, i) => {
      const { client: port, cluster } = ports[i]!
      const storeDir = join(folder, name)
      const routes = ports.filter((_, other) => other !== i).map(other => `127.0.0.1:${other.cluster}`)
      const settings: ServerSettings = {
        name,
        host: '127.0.0.1',
        port,
        storeDir,
        ...login,
        cluster: { name: 'grail', port: cluster, routes, user: 'route', password: 'route/secret@' },
        replicas: 3,
      }
      return startNats(t, { port, storeDir, config: renderServerConfig(settings) })
    }),
  )
  const broker = await brokerOf(t, servers[0]!, { ...login, servers: servers.map(server => server.url) })
  const gone = new Set<NatsServer>()

  await t.test('keep three copies of what is claimed, and go on when the leader of the claims is stopped', async t => {
    await ensureClaimBucket(broker, 'C', { signal, replicas: 3 })
    const info = await broker.jsm.streams.info('KV_C')
    t.equal(info.config.num_replicas, 3)
    const leader = servers[names.indexOf(info.cluster?.leader ?? '')] as NatsServer
    gone.add(leader)

    const seen: number[] = []
    const stop = new AbortController()
    const following = fold(broker, 'KV_C', '$KV.C.>', {
      signal: stop.signal,
      onEvent: (_, __, meta) => void seen.push(meta.seq - 1),
    })
    const take = async (n: number) =>
      (await claim(broker, 'C', `g.${n}`, new Uint8Array(), { id: `g.${n}`, signal })).index
    const indices: number[] = []
    let stopped: Promise<void> | undefined
    for (let n = 0; n < 200; n++) {
      // Stopped as one stops a server for maintenance: it hands over before it goes.
      if (n === 100) stopped = leader.stop()
      indices.push(await take(n))
    }
    await stopped
    const expected = Array.from({ length: 200 }, (_, i) => i)
    t.same(indices, expected, 'unique and without a gap')
    t.equal(await take(150), 150, 'a repeated claim keeps its index under the new leader')
    await until('whoever follows has seen all', () => seen.length === 200 || undefined)
    t.same(seen, expected)
    stop.abort()
    await following.done
  })

  await t.test('are asked again and again while nobody leads', async t => {
    // One of them is stopped. Without another one, the last cannot be elected, and says nothing about the stream.
    const { cluster } = await broker.jsm.streams.info('KV_C')
    const leader = servers[names.indexOf(cluster?.leader ?? '')] as NatsServer
    gone.add(leader)
    let asked = 0
    const claiming = new AbortController()
    broker.nc.subscribe('$JS.API.STREAM.INFO.KV_C', {
      callback: () => {
        if (++asked === 5) claiming.abort(new Error('asked five times'))
      },
    })
    await leader.kill()
    const left = servers.find(server => !gone.has(server))!
    const to = `127.0.0.1:${left.port}`
    await until('the client is with the server that is left', () => broker.info.server === to && broker.connected)
    await t.rejects(
      claim(broker, 'C', 'g.200', new Uint8Array(), { id: 'g.200', signal: claiming.signal, giveUpAfterMs: 6_000 }),
      { message: 'asked five times' },
      'in six seconds: whoever is elected meanwhile is found soon',
    )
  })
})

await t.test('what a server would refuse, or worse take, is not rendered', t => {
  const plain: ServerSettings = { name: 'a', host: '127.0.0.1', port: 4222, storeDir: '/var/lib/nats' }
  const cases: { title: string; settings: Partial<ServerSettings>; says: RegExp }[] = [
    { title: 'a port that is none', settings: { port: 70_000 }, says: /port: 70000 is not a whole number/ },
    { title: 'a user without a password', settings: { user: 'a' }, says: /user and password go together/ },
    {
      title: 'a line break in a password',
      settings: { user: 'a', password: 'b\nport: 1' },
      says: /control characters/,
    },
    {
      title: 'more copies than servers',
      settings: { replicas: 3 },
      says: /3 copies of a stream need 3 servers, 1 are configured/,
    },
    { title: 'a max_payload the server refuses', settings: { maxPayload: 65 * 1024 * 1024 }, says: /max_payload/ },
  ]
  for (const { title, settings, says } of cases) {
    let failed: unknown
    try {
      renderServerConfig({ ...plain, ...settings })
    } catch (e) {
      failed = e
    }
    t.ok(isBrokerError(failed, 'invalid'), title)
    t.match(String(failed), says)
    t.notMatch(String(failed), /port: 1$/m)
  }
  t.end()
})
