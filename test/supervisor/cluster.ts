import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { ensureStreams } from '../../actors/ensure.js'
import { clusterCommand } from '../../supervisor/commands/cluster.js'
import type { CommandIo } from '../../supervisor/commands/io.js'
import { freePort } from '../helpers/free-port.js'
import { brokerOf, inTime, natsServerAbsent, startNats } from '../helpers/nats-server.js'

const QUICK = ['--seconds', '1', '--megabytes', '1', '--claimers', '2']

function recorder() {
  const said: string[] = []
  const io: CommandIo = {
    out: line => said.push(line),
    err: line => said.push(line),
    env: {},
    ask: async () => false,
  }
  return { io, text: () => said.join('\n') }
}

t.test('grail cluster bench measures the servers of the inventory', { skip: natsServerAbsent }, async t => {
  const folder = mkdtempSync(join(tmpdir(), 'grail-cluster-bench-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  await ensureStreams(broker, { replicas: 1, presenceMs: 4_000, leaseMs: 4_000, signal: inTime() })
  const streams = async () => {
    const names: string[] = []
    for await (const { config, state } of broker.jsm.streams.list()) names.push(`${config.name} ${state.messages}`)
    return names.sort((a, b) => a.localeCompare(b))
  }
  const inventory = (servers: string[]) => {
    const file = join(folder, `${servers.length}.toml`)
    writeFileSync(file, `[nats]\nservers = ${JSON.stringify(servers)}\n`)
    return file
  }
  const bench = async (...args: string[]) => {
    const { io, text } = recorder()
    const code = await clusterCommand(['bench', ...QUICK, ...args], io, inTime())
    return { code, text: text() }
  }
  const alone = inventory([server.url])
  const before = await streams()

  await t.test('a small table: the server, claims, objects', async t => {
    const { code, text } = await bench('--config', alone)
    t.equal(code, 0)
    t.match(text, /nats-server \d+\.\d+\.\d+, round trip/)
    t.match(text, /copies of a stream +1, the inventory says 1/)
    for (const row of [/claim, 2 claimers +\d+/, /put 224 KB +\d+ +\d+ MB/, /get 224 KB +\d+ +\d+ MB/])
      t.match(text, row)
  })
  await t.test('the same as JSON, and an exit code for who is slower than asked for', async t => {
    const { code, text } = await bench('--config', alone, '--json', '--limit-ms', '0.001')
    t.equal(code, 1)
    const { claims, copies } = JSON.parse(text.split('\n')[0] ?? '') as { claims: { p99: number }; copies: number }
    t.ok(claims.p99 > 0)
    t.equal(copies, 1)
    t.match(text, /is above the 0.001 ms asked for/)
  })
  await t.test('a server that does not answer is named, without its password', async t => {
    const { code, text } = await bench(
      '--config',
      inventory([server.url, `nats://u:secret@127.0.0.1:${await freePort()}`]),
    )
    t.equal(code, 1)
    t.match(text, /127\.0\.0\.1:\d+ +DOES NOT ANSWER/)
    t.notMatch(text, /secret/)
  })
  await t.test('more copies than there are servers are refused, and nothing is left of the attempt', async t => {
    const file = join(folder, 'copies.toml')
    writeFileSync(file, `[nats]\nservers = ["${server.url}"]\nreplicas = 3\n`)
    await t.rejects(bench('--config', file), { name: 'BrokerError' })
  })
  t.same(await streams(), before, 'what was there is as it was, and nothing else is there')
  for (const args of [[], ['bench', '--claimers', '0'], ['other']]) {
    const { io, text } = recorder()
    t.equal(await clusterCommand(args, io, inTime()), 2, `wrong use: ${args.join(' ')}`)
    t.match(text(), /usage: grail cluster bench/)
  }
})
