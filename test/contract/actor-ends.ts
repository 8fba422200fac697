import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../src/package-root.js'
import { createRehearsalWallet } from '../../src/wallet/rehearsal-wallet.js'
import { brokerOf, natsServerAbsent, startNats } from '../helpers/nats-server.js'

// An actor that cannot begin ends: supervisord starts it again, and would take one that hangs at a connection for running.

const program = import.meta.url.endsWith('.ts')
  ? ['--import', 'tsx', join(packageRoot, 'supervisor', 'main.ts')]
  : [join(packageRoot, 'dist', 'supervisor', 'main.js')]

/** Until it is killed for hanging, ms; it takes two seconds. */
const HANGS_MS = 60_000

t.test('an actor whose broker cannot be had as wanted says so and ends', { skip: natsServerAbsent }, async t => {
  const folder = await mkdtemp(join(tmpdir(), 'grail-ends-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await createRehearsalWallet(join(folder, 'wallets'))
  await mkdir(join(folder, 'bucket'))
  const server = await startNats(t)
  const broker = await brokerOf(t, server)
  await broker.jsm.streams.add({ name: 'STRANGER', subjects: ['grail.window.mine'] })
  const inventory = join(folder, 'grail.toml')
  await writeFile(
    inventory,
    `
[fleet]
state = "."
[nats]
servers = ["${server.url}"]
[chain]
endpoints = ["ws://127.0.0.1:1"]
[wallet]
path = "wallets"
cold = "rehearsal"
[bucket]
kind = "dir"
folder = "bucket"
rehearsal = true
[checkpoint]
folder = "checkpoint"
[engine]
name = "rehearsal"
[[hosts]]
name = "a"
roles = ["controller", "aggregator", "uploader"]
[[hosts.generators]]
`,
  )
  for (const role of ['controller', 'aggregator', 'uploader', 'generator']) {
    const child = spawn(process.execPath, [...program, 'actor', role, '--config', inventory], {
      env: { PATH: process.env.PATH ?? '', HOME: folder },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: HANGS_MS,
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (more: string) => {
      said += more
    })
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    t.equal(signal, null, `${role} ends by itself`)
    t.equal(code, 1, `${role}: with code 1`)
    t.match(said, /^grail actor: .*subjects overlap with an existing stream/m, `${role} says why`)
  }
})
