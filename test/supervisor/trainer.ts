import { once } from 'node:events'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Log } from '../../actors/actor.js'
import { ensureStreams } from '../../actors/ensure.js'
import type { Fetching } from '../../actors/generator/desk.js'
import { openDirBucket } from '../../src/bucket/dir.js'
import { weightsHash } from '../../src/checkpoint/weights-hash.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { loadConfig } from '../../supervisor/config/load.js'
import { generatorCheckpoint } from '../../supervisor/trainer.js'
import { publishFull, someWeights } from '../checkpoint/helpers/publisher.js'
import { brokerOf, inTime, natsServerAbsent, startNats } from '../helpers/nats-server.js'

// How a generator comes to a checkpoint of the trainer: through this host's cache.

const NOW: Fetching = { haste: 'now', keep: () => [] }
const AHEAD: Fetching = { haste: 'ahead', keep: () => [] }
const WINDOW = 900
/** Nobody listens there. */
const NO_CHAIN = '[chain]\nendpoints = ["ws://127.0.0.1:1"]\ngenesis = ""\n'

const log: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

async function generatorOf(t: Test, folder: string, inventory: string) {
  const broker = await brokerOf(t, await startNats(t))
  await ensureStreams(broker, { replicas: 1, presenceMs: 4_000, leaseMs: 4_000, signal: inTime() })
  const file = join(folder, 'grail.toml')
  await writeFile(file, inventory)
  const of = { log, broker, instance: 'generator-test-0', host: 'test' }
  return generatorCheckpoint(loadConfig(file, {}), GRAIL_V5, of)
}

t.test('while the bucket cannot be asked a verified checkpoint is used', { skip: natsServerAbsent }, async t => {
  const folder = t.testdir()
  const trainer = join(folder, 'trainer')
  await mkdir(trainer)
  const bucket = openDirBucket({ folder: trainer })
  t.teardown(() => bucket.close())
  const weights = someWeights(1)
  const hash = await weightsHash(weights, GRAIL_V5)
  await publishFull(bucket, WINDOW, weights, { metadata: { weights_hash: hash } })
  const checkpoint = await generatorOf(t, folder, '[checkpoint]\nsource = "trainer"\ntrainer_folder = "trainer"\n')
  const wanted = { window: WINDOW, modelName: 'async_trainer_snapshot', weightsHash: hash, environment: 'gsm8k' }

  const fetched = await checkpoint(wanted, inTime(), NOW)
  if (typeof fetched === 'string') throw new Error(fetched)
  await rename(trainer, join(folder, 'away'))
  for (const haste of [NOW, AHEAD])
    t.same(await checkpoint(wanted, inTime(), haste), fetched, 'the same as the bucket gave')
  for (const other of [{ weightsHash: 'f'.repeat(32) }, { window: 930 }, { environment: 'sat' }, { weightsHash: '' }])
    t.type(
      await checkpoint({ ...wanted, ...other }, inTime(), NOW),
      'string',
      `not another one: ${JSON.stringify(other)}`,
    )
  await writeFile(join(fetched.folder, 'config.json'), '{}')
  t.type(await checkpoint(wanted, inTime(), NOW), 'string', 'nor one that something has touched')
})

t.test('a window that waits is not kept waiting by the chain or the bucket', { skip: natsServerAbsent }, async t => {
  const folder = t.testdir()
  const bucket = openDirBucket({ folder: join(folder, 'trainer'), create: true })
  t.teardown(() => bucket.close())
  const weights = someWeights(1)
  const metadata = { weights_hash: await weightsHash(weights, GRAIL_V5) }
  await publishFull(bucket, WINDOW, weights, { metadata })
  const wanted = {
    window: WINDOW,
    modelName: 'async_trainer_snapshot',
    weightsHash: metadata.weights_hash,
    environment: 'gsm8k',
  }
  const before = await generatorOf(t, folder, '[checkpoint]\nsource = "trainer"\ntrainer_folder = "trainer"\n')
  const fetched = await before(wanted, inTime(), NOW)

  let asked = 0
  const chain = createServer(socket => {
    asked++
    socket.on('error', () => {})
  })
  chain.listen(0, '127.0.0.1')
  await once(chain, 'listening')
  t.teardown(() => chain.close())
  const { port } = chain.address() as AddressInfo
  const silent = `[chain]\nendpoints = ["ws://127.0.0.1:${port}"]\ngenesis = ""\n[checkpoint]\nsource = "trainer"\n`
  const restarted = await generatorOf(t, folder, silent)
  t.same(await restarted(wanted, inTime(), NOW), fetched, 'what its events name and this host has verified is used')
  t.equal(asked, 0, 'and nobody was asked')
})

/** A process that has not ended by then is ended (supervisor/shutdown.ts), ms. */
const ENDED_MS = 15_000

t.test(
  'a generator that is told to end does not wait for the chain',
  { skip: natsServerAbsent, timeout: ENDED_MS },
  async t => {
    const checkpoint = await generatorOf(t, t.testdir(), `${NO_CHAIN}[checkpoint]\nsource = "trainer"\n`)
    const end = new AbortController()
    const wanted = { window: WINDOW, modelName: 'm', weightsHash: 'a'.repeat(32), environment: 'sat' }
    const asking = t.rejects(checkpoint(wanted, end.signal, NOW), /stopped by SIGTERM/)
    await new Promise(resolve => setImmediate(resolve))
    end.abort(new Error('stopped by SIGTERM'))
    await asking
  },
)
