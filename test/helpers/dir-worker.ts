import { createHash, randomBytes } from 'node:crypto'
import type { PartFacts } from '../../src/bucket/bucket.js'
import { openDirBucket } from '../../src/bucket/dir.js'
import { MIN_PART_BYTES } from '../../src/bucket/parts.js'

// A process of its own that works on a dir bucket: dir-worker FOLDER put COUNT | uploads | complete UPLOAD PARTS-JSON.
// Says one line when something is done.

const [folder = '', job, ...rest] = process.argv.slice(2)
const bucket = openDirBucket({ folder })
const never = new AbortController().signal

if (job === 'put') {
  for (let i = 0; i < Number(rest[0]); i++) {
    const body = randomBytes(50_000 + i)
    const md5 = createHash('md5').update(body).digest('hex')
    await bucket.put('same/key', body, never, { metadata: { md5 } })
  }
  console.log('done')
} else if (job === 'uploads') {
  for (let i = 0; ; i++) {
    const key = `kill/${process.pid}-${i}`
    const { uploadId } = await bucket.openUpload(key, never)
    const parts: PartFacts[] = []
    for (const [n, bytes] of [MIN_PART_BYTES, 100].entries())
      parts.push(await bucket.putPart(key, uploadId, n + 1, Buffer.alloc(bytes, i), never))
    await bucket.complete(key, uploadId, parts, never)
    console.log(key)
  }
} else if (job === 'complete') {
  const [key = '', uploadId = '', parts = '[]'] = rest
  await bucket.complete(key, uploadId, JSON.parse(parts) as PartFacts[], never).then(
    () => console.log('won'),
    (error: { code?: string }) => console.log(error.code),
  )
} else if (job === 'big') {
  await bucket.put('big', Buffer.alloc(4 * 1024 * 1024), never).then(
    () => console.log('stored'),
    (error: { code?: string; next?: string; message?: string }) =>
      console.log(`${error.code} ${error.next} ${error.message}`),
  )
}
