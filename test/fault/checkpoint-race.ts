import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Bucket } from '../../src/bucket/bucket.js'
import { openDirBucket } from '../../src/bucket/dir.js'
import { invariants } from '../helpers/invariants.js'
import { natsServerAbsent } from '../helpers/nats-server.js'
import { becomes } from '../helpers/outcome.js'
import { PATIENCE_MS, startWorld } from '../helpers/world.js'

// The trainer's bucket says which checkpoint is mined. A READY marker may appear seconds after the window it counts for has
// begun: what a validator will take is then another checkpoint, and the window is discarded rather than risk a ban.

const never = new AbortController().signal

/** Publishes the checkpoint of a folder as the trainer does: files, metadata with their digests, and the READY marker last. */
async function publish(bucket: Bucket, folder: string, window: number, ready: number): Promise<void> {
  const prefix = `grail/checkpoints/checkpoint-${window}`
  const manifest: Record<string, string> = {}
  for (const name of await readdir(folder)) {
    if (name === 'metadata.json') continue
    const bytes = await readFile(join(folder, name))
    manifest[name] = createHash('sha256').update(bytes).digest('hex')
    await bucket.put(`${prefix}/FULL/${name}`, bytes, never)
  }
  const metadata = JSON.parse(await readFile(join(folder, 'metadata.json'), 'utf8')) as object
  const text = JSON.stringify({ ...metadata, window, file_manifest: manifest })
  await bucket.put(`${prefix}/FULL/metadata.json`, Buffer.from(text), never)
  await bucket.put(`${prefix}/READY-${ready}`, new Uint8Array(), never)
}

t.setTimeout(PATIENCE_MS)
t.test(
  'a window is mined with the checkpoint validators will take',
  { skip: natsServerAbsent, timeout: PATIENCE_MS },
  async t => {
    let checkpointFolder = ''
    const world = await startWorld(t, {
      generators: 2,
      blockMs: 900,
      publish: async (bucket, folder) => {
        checkpointFolder = folder
        await publish(bucket, folder, 2_910, 2_940)
        // Not ready before the first window: nobody mines with it yet.
        await publish(bucket, folder, 2_970, 3_000)
      },
    })
    const trainer = openDirBucket({ folder: join(world.folder, 'trainer') })
    t.teardown(() => trainer.close())

    await t.test('it is the newest one that was ready before the window', async t => {
      const { window, payload } = await world.event('opened')
      t.equal(payload.checkpoint.window, 2_910)
      const summary = await becomes(t, world, { window, state: 'UPLOADED' })
      t.equal(summary.payload.checkpoint, 2_910)
      await invariants(t, world, { window })
    })

    await t.test('a marker that appears after the window has begun discards it', async t => {
      const { window, payload } = await world.nextWindow()
      t.equal(payload.checkpoint.window, 2_970)
      await publish(trainer, checkpointFolder, window - 30, window - 30)
      const { payload: summary } = await becomes(t, world, { window, state: 'SKIPPED' })
      t.match(summary.reason, new RegExp(`checkpoint ${window - 30} became ready after`))
      await invariants(t, world, { window })
    })
  },
)
