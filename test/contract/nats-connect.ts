import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import {
  type Broker,
  type BrokerStatus,
  claim,
  connectBroker,
  ensureClaimBucket,
  isBrokerError,
  lastOf,
  renderServerConfig,
} from '../../nats/index.js'
import { freePort } from '../helpers/free-port.js'
import { brokerOf, inTime, natsServerAbsent, startNats } from '../helpers/nats-server.js'

const PASSWORD = 'xyzzy-plugh-2'

/** The error of a connection that must not come about, and the sentence a person reads. */
async function refusal(connecting: Promise<Broker>): Promise<{ code: string; message: string }> {
  try {
    const broker = await connecting
    await broker.drain()
    return { code: 'connected', message: '' }
  } catch (e) {
    return isBrokerError(e) ? { code: e.code, message: e.message } : { code: 'foreign', message: String(e) }
  }
}

/** The next status of this type. */
async function next<T extends BrokerStatus['type']>(
  statuses: AsyncIterable<BrokerStatus>,
  type: T,
): Promise<BrokerStatus> {
  for await (const status of statuses) if (status.type === type) return status
  throw new Error(`the connection never said ${type}`)
}

await t.test('a fitting broker', { skip: natsServerAbsent }, async t => {
  const server = await startNats(t, { extra: 'server_name: one' })

  await t.test('is connected to, and says what it is', async t => {
    const heard: BrokerStatus[] = []
    const broker = await brokerOf(t, server, { onStatus: status => heard.push(status) })
    t.match(broker.info, {
      version: /^2\./,
      maxPayload: 8 * 1024 * 1024,
      serverName: 'one',
      server: `127.0.0.1:${server.port}`,
    })
    t.equal(broker.connected, true)
    await broker.drain()
    t.equal(broker.connected, false)
    t.same(
      heard.map(status => status.type),
      ['connected', 'closed'],
    )
  })

  await t.test('is found although the first address is dead', async t => {
    const broker = await brokerOf(t, server, { servers: [`nats://127.0.0.1:${await freePort()}`, server.url] })
    t.equal(broker.info.serverName, 'one')
  })

  await t.test('may come up later than we do', async t => {
    const port = await freePort()
    const connecting = connectBroker({ servers: [`nats://127.0.0.1:${port}`], name: 'early', signal: inTime() })
    await startNats(t, { port })
    const broker = await connecting
    t.equal(broker.connected, true)
    await broker.drain()
  })

  await t.test('that is killed and comes back is told as disconnected, then reconnected', async t => {
    const broker = await brokerOf(t, server)
    const signal = inTime()
    const gone = next(broker.status(signal), 'disconnected')
    const back = next(broker.status(signal), 'reconnected')
    await server.kill()
    t.match(await gone, { type: 'disconnected', server: /127\.0\.0\.1/ })
    t.equal(broker.connected, false)
    await server.restart()
    t.match(await back, { type: 'reconnected', server: /127\.0\.0\.1/ })
    t.equal(broker.connected, true)
  })

  await t.test('that is gone does not hold up draining', async t => {
    const lonely = await startNats(t)
    const broker = await brokerOf(t, lonely)
    const gone = next(broker.status(inTime()), 'disconnected')
    await lonely.kill()
    await gone
    await broker.drain()
    t.equal(broker.nc.isClosed(), true)
  })

  await t.test('that is frozen does not hold up draining either', async t => {
    const frozen = await startNats(t)
    const broker = await brokerOf(t, frozen)
    frozen.pause()
    await broker.drain(100)
    t.equal(broker.nc.isClosed(), true)
  })

  await t.test('is waited for through its kill by what was asked meanwhile', async t => {
    const broker = await brokerOf(t, server)
    await broker.jsm.streams.add({ name: 'ASKED', subjects: ['asked'] })
    await server.kill()
    const asked = lastOf(broker, 'ASKED', 'asked', { signal: inTime() })
    await server.restart()
    t.equal(await asked, undefined)
  })

  await t.test('that is about to stop for maintenance is told as lame duck', async t => {
    const leaving = await startNats(t)
    const broker = await brokerOf(t, leaving)
    const told = next(broker.status(inTime()), 'lame-duck')
    process.kill(leaving.pid, 'SIGUSR2')
    t.match(await told, { type: 'lame-duck', server: /127\.0\.0\.1/ })
  })

  await t.test('ends its status when asked to', async t => {
    const broker = await brokerOf(t, server)
    const stop = new AbortController()
    const heard: string[] = []
    const reading = (async () => {
      for await (const status of broker.status(stop.signal)) heard.push(status.type)
    })()
    stop.abort()
    await reading
    t.same(heard, [])
  })
})

await t.test(
  'a broker that cannot do the work is refused with one sentence that names the cure',
  { skip: natsServerAbsent },
  async t => {
    const plain = await startNats(t, { extra: `authorization { user: fleet, password: "${PASSWORD}" }` })
    const small = await startNats(t, { config: undefined, extra: 'server_name: small' })
    const port = await freePort()
    const bare = await startNats(t, { port, config: `host: 127.0.0.1\nport: ${port}\nmax_payload: 8388608\n` })
    const tinyPort = await freePort()
    const folder = await mkdtemp(join(tmpdir(), 'grail-nats-tiny-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const tiny = await startNats(t, {
      port: tinyPort,
      storeDir: folder,
      config: `host: 127.0.0.1\nport: ${tinyPort}\njetstream { store_dir: ${JSON.stringify(folder)} }\n`,
    })
    const dead = await freePort()
    const base = { name: 'test', signal: inTime() }

    const cases = [
      {
        title: 'no JetStream',
        options: { servers: [bare.url] },
        code: 'no-jetstream',
        says: /runs without JetStream: add a jetstream block/,
      },
      {
        title: 'a max_payload of 1 MiB',
        options: { servers: [tiny.url] },
        code: 'max-payload',
        says: /takes messages of up to 1048576 bytes, 4194304 are needed: set max_payload: 8388608/,
      },
      {
        title: 'a version older than needed',
        options: { servers: [small.url], minimumVersion: '99.1.0' },
        code: 'too-old',
        says: /^NATS 2\.\S+ at 127\.0\.0\.1:\d+ is too old: install nats-server 99\.1\.0 or newer$/,
      },
      {
        title: 'a wrong password',
        options: { servers: [plain.url], user: 'fleet', password: `not-${PASSWORD}` },
        code: 'auth',
        says: /refuses us as user 'fleet': set the user and password/,
      },
      {
        title: 'a wrong password in the address',
        options: { servers: [`nats://fleet:not-${PASSWORD}@127.0.0.1:${plain.port}`] },
        code: 'auth',
        says: /refuses us as user 'fleet'/,
      },
      {
        title: 'no user where one is needed',
        options: { servers: [plain.url] },
        code: 'auth',
        says: /refuses us without a user/,
      },
      {
        title: 'nobody listening at any address',
        options: { servers: [`nats://fleet:${PASSWORD}@127.0.0.1:${dead}`, `127.0.0.1:${dead}`], waitMs: 600 },
        code: 'unreachable',
        says: new RegExp(
          `no NATS server answers at nats://127.0.0.1:${dead}, nats://127.0.0.1:${dead} \\(waited 0.6 s`,
        ),
      },
      { title: 'no address at all', options: { servers: [] }, code: 'invalid', says: /name at least one/ },
      {
        title: 'an address that is none',
        options: { servers: [`nats://fleet:${PASSWORD}@:::`] },
        code: 'invalid',
        says: /must look like nats:\/\/host:4222/,
      },
    ]
    for (const { title, options, code, says } of cases) {
      await t.test(title, async t => {
        const refused = await refusal(connectBroker({ ...base, ...options }))
        t.equal(refused.code, code, refused.message)
        t.match(refused.message, says)
        t.notMatch(refused.message, new RegExp(PASSWORD), 'no password in it')
        t.notMatch(refused.message, /\n/, 'one line')
      })
    }

    await t.test('the right user is let in, by option or by address', async t => {
      for (const options of [
        { servers: [plain.url], user: 'fleet', password: PASSWORD },
        { servers: [`nats://fleet:${PASSWORD}@127.0.0.1:${plain.port}`] },
      ]) {
        const broker = await connectBroker({ ...base, ...options })
        t.equal(broker.connected, true)
        await broker.drain()
      }
    })

    await t.test('something that is no NATS server', async t => {
      const http = createServer(socket => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
      await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
      t.teardown(() => new Promise<void>(resolve => void http.close(() => resolve())))
      const { port } = http.address() as { port: number }
      const refused = await refusal(connectBroker({ ...base, waitMs: 600, servers: [`127.0.0.1:${port}`] }))
      t.equal(refused.code, 'unreachable')
      t.match(refused.message, /unexpected response from server/)
    })

    await t.test('a frozen server is given up on in the time given', async t => {
      const frozen = await startNats(t)
      frozen.pause()
      const refused = await refusal(connectBroker({ ...base, waitMs: 600, servers: [frozen.url] }))
      t.equal(refused.code, 'unreachable')
    })

    await t.test('connecting ends when told to', async t => {
      const stop = new AbortController()
      const connecting = connectBroker({ ...base, waitMs: 60_000, servers: [`127.0.0.1:${dead}`], signal: stop.signal })
      stop.abort(new Error('enough'))
      await t.rejects(connecting, { message: 'enough' })
    })
  },
)

await t.test('a server that has lost its cluster is left for one that answers', { skip: natsServerAbsent }, async t => {
  const signal = inTime()
  const folder = await mkdtemp(join(tmpdir(), 'grail-nats-lonely-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const port = await freePort()
  const cluster = { name: 'lonely', port: await freePort(), routes: [`127.0.0.1:${await freePort()}`] }
  const settings = { name: 'lonely', host: '127.0.0.1', port, storeDir: folder, cluster }
  const lonely = await startNats(t, { port, storeDir: folder, config: renderServerConfig(settings) })
  const sound = await startNats(t)
  const servers = [lonely.url, sound.url]
  // Which of the two is dialled first is the library's choice.
  let first = ''
  for (let tries = 0; first !== `127.0.0.1:${port}`; tries++) {
    t.ok(tries < 20)
    const heard: BrokerStatus[] = []
    const broker = await connectBroker({
      ...{ name: 'test', servers, signal, isolatedMs: 300 },
      onStatus: status => heard.push(status),
    })
    first = (heard[0] as Extract<BrokerStatus, { type: 'connected' }>).server
    t.equal(broker.info.server, `127.0.0.1:${sound.port}`, 'the one that answers is connected to in the end')
    const left = heard.filter(({ type }) => type === 'isolated').length
    t.equal(left, first === broker.info.server ? 0 : 1, 'the other one is left once')
    await broker.drain()
  }
  const broker = await brokerOf(t, sound, { servers, isolatedMs: 300 })
  await ensureClaimBucket(broker, 'C', { signal })
  const take = (key: string) => claim(broker, 'C', key, new Uint8Array(), { id: key, signal, giveUpAfterMs: 60_000 })
  t.equal((await take('a')).index, 0)

  const statuses = broker.status(signal)
  const moved = next(statuses, 'reconnected')
  await sound.kill()
  t.match(await moved, { server: new RegExp(`:${port}$`) }, 'the connection goes to the one that is left')
  const left = next(broker.status(signal), 'isolated')
  await sound.restart()
  t.equal((await take('b')).index, 1, 'and back, when that one answers nothing')
  t.match(await left, { server: new RegExp(`:${port}$`) })
})

await t.test(
  'a password changed while we are connected closes the connection and says why',
  { skip: natsServerAbsent },
  async t => {
    const port = await freePort()
    const folder = await mkdtemp(join(tmpdir(), 'grail-nats-auth-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const config = (password: string) =>
      `host: 127.0.0.1\nport: ${port}\nmax_payload: 8388608\njetstream { store_dir: ${JSON.stringify(folder)} }\nauthorization { user: fleet, password: "${password}" }\n`
    const before = await startNats(t, { port, storeDir: folder, config: config(PASSWORD) })
    const broker = await brokerOf(t, before, { user: 'fleet', password: PASSWORD })
    const closed = next(broker.status(inTime()), 'closed')
    await before.kill()
    await startNats(t, { port, storeDir: folder, config: config('another') })
    const status = await closed
    t.match(status, { type: 'closed', why: { code: 'auth', next: 'never' } })
    t.notMatch(JSON.stringify(status), new RegExp(PASSWORD))
  },
)

function openssl(args: string[]): boolean {
  try {
    execFileSync('openssl', args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

await t.test(
  'over TLS',
  { skip: natsServerAbsent || (openssl(['version']) ? false : 'openssl is not installed') },
  async t => {
    const folder = await mkdtemp(join(tmpdir(), 'grail-nats-tls-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
    const keyKind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
    t.ok(openssl(['req', '-x509', '-nodes', '-days', '2', ...keyKind, ...subject, '-keyout', key, '-out', cert]))
    const server = await startNats(t, {
      extra: `tls { cert_file: ${JSON.stringify(cert)}, key_file: ${JSON.stringify(key)} }`,
    })

    await t.test('a server whose certificate we trust is connected to', async t => {
      const broker = await brokerOf(t, server, { tls: { caFile: cert } })
      t.equal(broker.connected, true)
    })
    await t.test('a server whose certificate we do not know is refused at once', async t => {
      const refused = await refusal(connectBroker({ servers: [server.url], name: 'test', signal: inTime() }))
      t.equal(refused.code, 'tls', refused.message)
    })
    await t.test('a server without TLS is refused when TLS was asked for', async t => {
      const plain = await startNats(t)
      const options = { servers: [plain.url], name: 'test', signal: inTime(), tls: { caFile: cert } }
      const refused = await refusal(connectBroker(options))
      t.equal(refused.code, 'tls', refused.message)
    })
  },
)
