import { randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { BucketError, type PartFacts } from '../../src/bucket/bucket.js'
import { openDirBucket } from '../../src/bucket/dir.js'
import { multipartEtag, singleEtag } from '../../src/bucket/expected.js'
import { MIN_PART_BYTES } from '../../src/bucket/parts.js'
import { crashAt } from '../helpers/crash-fs.js'

// Real processes and disks: on a busy machine they take their time.
t.setTimeout(120_000)

// A process that uses the bucket is stopped at its first, second, third … call of the file system until it gets through.
// After each stop another process opens the folder.

const never = new AbortController().signal
const KEY = 'grail/windows/a.parquet'
const OLD = Buffer.from('the object that was there')
const TWO_HOURS_MS = 2 * 60 * 60 * 1_000

/** Everything in tmp/ and every folder of an upload: what a later process would have to clean up. */
function leftovers(folder: string): string[] {
  const own = join(folder, '.bucket')
  return ['tmp', 'open', 'sealed'].flatMap(name => readdirSync(join(own, name)).map(entry => `${name}/${entry}`))
}

/** Opens the folder two hours later and lets it tidy up. */
async function tidied(folder: string): Promise<string[]> {
  const later = openDirBucket({ folder }, () => Date.now() + TWO_HOURS_MS)
  await later.listUploads('', never)
  return leftovers(folder)
}

await t.test('put: at every point there is the old object or the new one, whole and with its own facts', async t => {
  const body = randomBytes(10_000)
  let stops = 0
  for (let nth = 1; ; nth++) {
    const folder = join(t.testdir(), String(nth))
    await openDirBucket({ folder, create: true }).put(KEY, OLD, never, { metadata: { of: 'old' } })
    const { at } = await crashAt(nth, () =>
      openDirBucket({ folder }).put(KEY, body, never, { metadata: { of: 'new' } }),
    )
    const after = openDirBucket({ folder })
    const facts = await after.head(KEY, never)
    const bytes = Buffer.from(await after.get(KEY, never))
    const isNew = facts?.metadata.of === 'new'
    const title = `stopped at call ${nth} (${at ?? 'none'}): ${isNew ? 'new' : 'old'}`
    t.ok(bytes.equals(isNew ? body : OLD), title)
    t.match(facts, { bytes: bytes.length, etag: singleEtag(bytes), metadata: { of: isNew ? 'new' : 'old' } }, title)
    t.same(await tidied(folder), [], 'and nothing of it is left two hours later')
    if (at === undefined) {
      t.ok(isNew, 'the process that was not stopped has stored the new object')
      break
    }
    stops++
  }
  t.ok(stops > 15, `${stops} points were tried`)
})

for (const [title, bodies, step] of [
  ['of one part', [randomBytes(1_000)], 1],
  // Two parts make 5 MiB: every fourth point is enough to see that the second one changes nothing.
  ['of two parts', [randomBytes(MIN_PART_BYTES), randomBytes(1_000)], 4],
] as const)
  await t.test(`an upload ${title}: at every point it can be gone on with, and ends as one object`, async t => {
    const whole = Buffer.concat(bodies)
    const etag = multipartEtag(bodies.map(singleEtag))
    let stops = 0
    for (let nth = 1; ; nth += step) {
      const folder = join(t.testdir(), String(nth))
      openDirBucket({ folder, create: true })
      const { at } = await crashAt(nth, () => upload(folder, bodies))
      const after = openDirBucket({ folder })
      const title = `stopped at call ${nth} (${at ?? 'none'})`

      const before = await after.head(KEY, never)
      if (before) t.match(before, { bytes: whole.length, etag }, `${title}: visible, so whole`)
      const [open, ...others] = await after.listUploads('', never)
      t.same(others, [], `${title}: at most one upload is open`)
      t.notOk(before && open, `${title}: the upload is open or the object is there, never both`)

      if (open) {
        const stored = await after.listParts(KEY, open.uploadId, never)
        const parts: PartFacts[] = []
        for (const [i, body] of bodies.entries()) {
          const part = stored.find(part => part.number === i + 1)
          if (part) t.equal(part.etag, singleEtag(body), `${title}: part ${i + 1} is whole`)
          parts.push(part ?? (await after.putPart(KEY, open.uploadId, i + 1, body, never)))
        }
        await after.complete(KEY, open.uploadId, parts, never)
      } else if (!before) await upload(folder, bodies)
      t.ok(whole.equals(await after.get(KEY, never)), `${title}: gone on with`)
      t.match(await after.head(KEY, never), { bytes: whole.length, etag, metadata: { window: '30' } }, title)
      t.same(await tidied(folder), [], 'and nothing of it is left two hours later')
      if (at === undefined) break
      stops++
    }
    t.ok(stops > 15, `${stops} points were tried`)
  })

await t.test('an upload: at every point it can be aborted, and then there is nothing', async t => {
  for (let nth = 1; ; nth++) {
    const folder = join(t.testdir(), String(nth))
    openDirBucket({ folder, create: true })
    const { at } = await crashAt(nth, () => upload(folder, [randomBytes(1_000)]))
    if (at === undefined) break
    const after = openDirBucket({ folder })
    const visible = await after.head(KEY, never)
    for (const { key, uploadId } of await after.listUploads('', never)) {
      await after.abort(key, uploadId, never)
      const gone = await after.listParts(key, uploadId, never).catch((error: unknown) => error)
      t.ok(gone instanceof BucketError && gone.code === 'no-such-upload', `stopped at call ${nth} (${at}): aborted`)
    }
    t.same(await after.listUploads('', never), [])
    t.same(await after.head(KEY, never), visible)
    t.same(await tidied(folder), [])
  }
})

async function upload(folder: string, bodies: readonly Uint8Array[]): Promise<void> {
  const bucket = openDirBucket({ folder })
  const { uploadId } = await bucket.openUpload(KEY, never, { metadata: { window: '30' } })
  const parts: PartFacts[] = []
  for (const [i, body] of bodies.entries()) parts.push(await bucket.putPart(KEY, uploadId, i + 1, body, never))
  await bucket.complete(KEY, uploadId, parts, never)
}
