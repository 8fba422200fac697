import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import t from 'tap'
import type { Bucket, BucketError, PartFacts } from '../../src/bucket/bucket.js'
import { multipartEtag, singleEtag } from '../../src/bucket/expected.js'
import { openBucket } from '../../src/bucket/index.js'
import { MIN_PART_BYTES } from '../../src/bucket/parts.js'
import { startS3 } from '../helpers/s3-server.js'

// Real processes and disks: on a busy machine they take their time.
t.setTimeout(120_000)

// One contract for every bucket there is. Each section works under a prefix of its own.

const never = new AbortController().signal
const body = (bytes: number, fill: number) => Buffer.alloc(bytes, fill)

/** The parts of one file as R2 wants them: equal, and a shorter last one. */
const PARTS = [body(MIN_PART_BYTES, 1), body(MIN_PART_BYTES, 2), body(700, 3)]

interface Implementation {
  name: string
  bucket: Bucket
  /** The same store by a name that does not exist. */
  absent: Bucket
}

const server = await startS3()
t.teardown(() => server.stop())
const s3 = {
  kind: 's3',
  endpoint: server.endpoint,
  bucket: server.bucket,
  accessKeyId: server.accessKeyId,
  secretAccessKey: server.secretAccessKey,
  // Lists of seven entries then take four pages.
  pageSize: 2,
} as const
const folder = t.testdir()
const implementations: Implementation[] = [
  {
    name: 'dir',
    bucket: openBucket({ kind: 'dir', folder: join(folder, 'bucket'), create: true }),
    absent: openBucket({ kind: 'dir', folder: join(folder, 'nowhere') }),
  },
  { name: 's3', bucket: openBucket(s3), absent: openBucket({ ...s3, bucket: 'nowhere' }) },
]

for (const { name, bucket, absent } of implementations) {
  t.teardown(() => bucket.close())
  t.teardown(() => absent.close())

  await t.test(`${name}: an object that was put has its size, MD5, time and metadata`, async t => {
    const bytes = randomBytes(1_234)
    const before = Math.floor(Date.now() / 1_000) * 1_000
    t.same(await bucket.put('put/a.parquet', bytes, never, { metadata: { sha256: 'abc' } }), {
      etag: singleEtag(bytes),
    })
    const facts = await bucket.head('put/a.parquet', never)
    t.match(facts, { key: 'put/a.parquet', bytes: 1_234, etag: singleEtag(bytes), metadata: { sha256: 'abc' } })
    t.equal((facts?.lastModifiedMs ?? 1) % 1_000, 0, 'LastModified has whole seconds')
    t.ok((facts?.lastModifiedMs ?? 0) >= before && (facts?.lastModifiedMs ?? 0) <= Date.now())
  })

  await t.test(`${name}: an object is replaced as a whole, facts and all`, async t => {
    await bucket.put('replace/a', body(10, 1), never, { metadata: { of: 'first' } })
    await bucket.put('replace/a', body(20, 2), never)
    t.same(await bucket.get('replace/a', never), body(20, 2))
    t.match(await bucket.head('replace/a', never), { bytes: 20, etag: singleEtag(body(20, 2)), metadata: {} })
  })

  await t.test(`${name}: ranges count from the first byte, end before 'to' and stop at the object's end`, async t => {
    await bucket.put('range/a', Buffer.from('0123456789'), never)
    const cases: [from: number, to: number, text: string][] = [
      [0, 10, '0123456789'],
      [3, 5, '34'],
      [9, 10, '9'],
      [8, 100, '89'],
    ]
    for (const [from, to, text] of cases)
      t.equal(Buffer.from(await bucket.get('range/a', never, { from, to })).toString(), text, `[${from}, ${to})`)
    for (const [from, to] of [
      [10, 20],
      [5, 5],
      [-1, 2],
    ] as const)
      await t.rejects(bucket.get('range/a', never, { from, to }), { code: 'invalid-range', next: 'never' })
  })

  await t.test(`${name}: an empty object is an object`, async t => {
    await bucket.put('empty/a', body(0, 0), never)
    t.match(await bucket.head('empty/a', never), { bytes: 0, etag: singleEtag(body(0, 0)) })
    t.equal((await bucket.get('empty/a', never)).length, 0)
  })

  await t.test(`${name}: what is absent is undefined to head, 'no-such-key' to get, nothing to remove`, async t => {
    t.equal(await bucket.head('none/a', never), undefined)
    await t.rejects(bucket.get('none/a', never), { code: 'no-such-key', next: 'never' })
    await bucket.remove('none/a', never)
    await bucket.put('none/b', body(1, 1), never)
    await bucket.remove('none/b', never)
    t.equal(await bucket.head('none/b', never), undefined)
  })

  await t.test(`${name}: a list has all keys under a prefix, in the order of their bytes, over all pages`, async t => {
    const keys = ['list/B', 'list/a', 'list/a/b', 'list/a.b', 'list/a-b', 'list/é', 'list/\u{1F600}']
    for (const key of [...keys, 'lis', 'listen', 'other/a']) await bucket.put(key, Buffer.from(key), never)
    const listed = []
    for await (const facts of bucket.list('list/', never)) listed.push(facts)
    t.same(
      listed.map(facts => facts.key),
      ['list/B', 'list/a', 'list/a-b', 'list/a.b', 'list/a/b', 'list/é', 'list/\u{1F600}'],
    )
    for (const { key, bytes, etag } of listed) {
      t.equal(bytes, Buffer.byteLength(key))
      t.equal(etag, singleEtag(Buffer.from(key)), key)
    }
    const inside = []
    for await (const { key } of bucket.list('list/a/', never)) inside.push(key)
    t.same(inside, ['list/a/b'])
    for await (const { key } of bucket.list('list/none', never)) t.fail(`${key} is not under the prefix`)
  })

  await t.test(`${name}: keys that look alike are different objects`, async t => {
    const keys = [
      'odd/a',
      'odd/a.',
      'odd/a/b',
      'odd/.a',
      'odd/a%2E',
      'odd/a%',
      'odd/A',
      'odd/a b',
      'odd/a+b',
      'odd/.bucket/tmp',
    ]
    for (const key of keys) await bucket.put(key, Buffer.from(key), never)
    for (const key of keys) t.equal(Buffer.from(await bucket.get(key, never)).toString(), key, key)
    const listed = []
    for await (const { key } of bucket.list('odd/', never)) listed.push(key)
    t.same(new Set(listed), new Set(keys))
    await bucket.remove('odd/a', never)
    t.equal(
      Buffer.from(await bucket.get('odd/a/b', never)).toString(),
      'odd/a/b',
      'what lies under a removed key stays',
    )
  })

  await t.test(`${name}: hostile keys are refused by every call`, async t => {
    for (const key of [
      '',
      '/etc/passwd',
      '../x',
      'a/../../x',
      'a/./b',
      'a//b',
      'a/',
      'a\0b',
      'a\nb',
      '\ud800',
      'x'.repeat(1_025),
    ]) {
      const refused = { code: 'invalid-key', next: 'never' }
      await t.rejects(bucket.put(key, body(1, 1), never), refused, JSON.stringify(key.slice(0, 20)))
      await t.rejects(bucket.head(key, never), refused)
      await t.rejects(bucket.get(key, never), refused)
      await t.rejects(bucket.remove(key, never), refused)
      await t.rejects(bucket.openUpload(key, never), refused)
    }
  })

  await t.test(`${name}: an upload shows nothing before Complete and the whole object after it`, async t => {
    const key = 'multi/a.parquet'
    const { uploadId } = await bucket.openUpload(key, never, { metadata: { window: '30' } })
    const sent: PartFacts[] = []
    for (const number of [3, 1, 2]) {
      const part = PARTS[number - 1] as Buffer
      sent.push(await bucket.putPart(key, uploadId, number, part, never))
      t.same(sent.at(-1), { number, etag: singleEtag(part), bytes: part.length })
    }
    t.equal(await bucket.head(key, never), undefined, 'nothing to see')
    for await (const listed of bucket.list('multi/', never)) t.fail(`${listed.key} is listed too early`)
    const parts = await bucket.listParts(key, uploadId, never)
    t.same(
      parts,
      [...sent].sort((a, b) => a.number - b.number),
      'parts are listed in the order of their numbers',
    )
    t.match(await bucket.listUploads('multi/', never), [{ key, uploadId }])

    const etag = multipartEtag(PARTS.map(singleEtag))
    t.same(await bucket.complete(key, uploadId, sent, never), { etag }, 'parts may be named in any order')
    t.match(await bucket.head(key, never), { bytes: 2 * MIN_PART_BYTES + 700, etag, metadata: { window: '30' } })
    t.ok(Buffer.concat(PARTS).equals(await bucket.get(key, never)), 'bytes are those of the parts in order')
    t.same(await bucket.listUploads('multi/', never), [])
  })

  await t.test(`${name}: Complete twice leaves the object as it was`, async t => {
    const key = 'twice/a'
    const { uploadId } = await bucket.openUpload(key, never)
    const part = await bucket.putPart(key, uploadId, 1, body(10, 1), never)
    const { etag } = await bucket.complete(key, uploadId, [part], never)
    const facts = await bucket.head(key, never)
    // S3 may answer as the first time, other stores do not know the upload any more: HEAD decides.
    await bucket.complete(key, uploadId, [part], never).then(
      again => t.equal(again.etag, etag),
      error => t.match(error, { code: 'no-such-upload', next: 'never' }),
    )
    t.same(await bucket.head(key, never), facts)
  })

  await t.test(`${name}: a part that is sent again takes the place of the first one`, async t => {
    const key = 'again/a'
    const { uploadId } = await bucket.openUpload(key, never)
    const first = await bucket.putPart(key, uploadId, 1, body(10, 1), never)
    const second = await bucket.putPart(key, uploadId, 1, body(12, 2), never)
    t.same(await bucket.listParts(key, uploadId, never), [second])
    await t.rejects(bucket.complete(key, uploadId, [first], never), { code: 'invalid-part', next: 'never' })
    await bucket.complete(key, uploadId, [second], never)
    t.same(await bucket.get(key, never), body(12, 2))
  })

  await t.test(`${name}: a Complete with wrong parts is refused and the upload stays open`, async t => {
    const key = 'rules/a'
    const { uploadId } = await bucket.openUpload(key, never)
    const send = (number: number, bytes: number) => bucket.putPart(key, uploadId, number, body(bytes, number), never)
    const good = await send(1, MIN_PART_BYTES)
    const last = await send(2, 5)
    const small = await send(3, 6)
    const other = await send(4, MIN_PART_BYTES + 1)
    const rest = await send(5, 7)
    const cases: [title: string, parts: PartFacts[], code: string][] = [
      ['no part at all', [], 'invalid-part'],
      ['a part nobody sent', [good, { number: 9, etag: singleEtag(body(5, 9)), bytes: 5 }], 'invalid-part'],
      ['a part under a wrong etag', [{ ...good, etag: '0'.repeat(32) }, last], 'invalid-part'],
      ['a part named twice', [good, good], 'invalid-part'],
      ['a part too small that is not the last', [last, small], 'entity-too-small'],
      ['parts of different sizes', [good, other, rest], 'invalid-part'],
      ['a last part larger than the others', [good, other], 'invalid-part'],
    ]
    for (const [title, parts, code] of cases)
      await t.rejects(bucket.complete(key, uploadId, parts, never), { code, next: 'never' }, title)
    t.equal(await bucket.head(key, never), undefined)
    for (const number of [0, -1, 1.5, 10_001])
      await t.rejects(
        bucket.putPart(key, uploadId, number, body(1, 1), never),
        { code: 'invalid-part' },
        `part ${number}`,
      )
    await bucket.complete(key, uploadId, [good, last], never)
    t.equal((await bucket.head(key, never))?.bytes, MIN_PART_BYTES + 5)
  })

  await t.test(`${name}: an aborted upload is gone, and aborting it again is fine`, async t => {
    const key = 'abort/a'
    const { uploadId } = await bucket.openUpload(key, never)
    const part = await bucket.putPart(key, uploadId, 1, body(10, 1), never)
    await bucket.abort(key, uploadId, never)
    await bucket.abort(key, uploadId, never)
    t.same(await bucket.listUploads('abort/', never), [])
    const gone = { code: 'no-such-upload', next: 'never' }
    await t.rejects(bucket.putPart(key, uploadId, 2, body(1, 1), never), gone)
    await t.rejects(bucket.listParts(key, uploadId, never), gone)
    await t.rejects(bucket.complete(key, uploadId, [part], never), gone)
    t.equal(await bucket.head(key, never), undefined)
  })

  await t.test(`${name}: an upload that never was is 'no-such-upload'`, async t => {
    const gone = { code: 'no-such-upload', next: 'never' }
    for (const uploadId of ['0b2c9d8e-0000-4000-8000-000000000000', '../../x', 'x'])
      await t.rejects(bucket.putPart('wrong/a', uploadId, 1, body(1, 1), never), gone, uploadId)
  })

  await t.test(`${name}: two uploads of one key do not know each other, and the later Complete stands`, async t => {
    const key = 'both/a'
    const one = await bucket.openUpload(key, never)
    const two = await bucket.openUpload(key, never)
    t.same(
      new Set((await bucket.listUploads(key, never)).map(upload => upload.uploadId)),
      new Set([one.uploadId, two.uploadId]),
    )
    const first = await bucket.putPart(key, one.uploadId, 1, body(10, 1), never)
    const second = await bucket.putPart(key, two.uploadId, 1, body(20, 2), never)
    await bucket.complete(key, two.uploadId, [second], never)
    await bucket.complete(key, one.uploadId, [first], never)
    t.match(await bucket.head(key, never), { bytes: 10, etag: multipartEtag([first.etag]) })
    t.same(await bucket.listUploads(key, never), [])
  })

  await t.test(`${name}: an aborted signal ends a call with its own reason`, async t => {
    const over = new AbortController()
    const reason = new Error('the window is over')
    over.abort(reason)
    await t.rejects(bucket.put('signal/a', body(1, 1), over.signal), reason)
    await t.rejects(bucket.head('signal/a', over.signal), reason)
    await t.rejects(bucket.openUpload('signal/a', over.signal), reason)

    const middle = new AbortController()
    const putting = bucket.put('signal/b', body(40 * 1024 * 1024, 1), middle.signal)
    setImmediate(() => middle.abort(reason))
    await t.rejects(putting, reason)
    const facts = await bucket.head('signal/b', never)
    t.ok(facts === undefined || facts.bytes === 40 * 1024 * 1024, 'there is the whole object or none')
  })

  await t.test(`${name}: a bucket that does not exist is 'no-such-bucket', and says where`, async t => {
    const nowhere = { code: 'no-such-bucket', next: 'never', message: /nowhere/ }
    await t.rejects(absent.put('a', body(1, 1), never), nowhere)
    await t.rejects(absent.head('a', never), nowhere)
    await t.rejects(absent.get('a', never), nowhere)
    await t.rejects(absent.openUpload('a', never), nowhere)
    await t.rejects(absent.listUploads('a', never), nowhere)
    await t.rejects(
      (async () => {
        for await (const _ of absent.list('', never)) t.fail('there is something')
      })(),
      nowhere,
    )
  })
}

await t.test('s3: a wrong secret and an unknown key are refused, and the error names neither', async t => {
  const wrong = [
    { ...s3, secretAccessKey: 'not-the-secret' },
    { ...s3, accessKeyId: 'AKIANOBODY', secretAccessKey: 'not-the-secret' },
  ]
  for (const config of wrong) {
    const bucket = openBucket(config)
    const calls: (() => Promise<unknown>)[] = [
      () => bucket.put('wrong/a', body(1, 1), never),
      () => bucket.head('wrong/a', never),
      () => bucket.listUploads('', never),
    ]
    for (const call of calls) {
      const error: BucketError = await call().then(
        () => t.fail('it was let in'),
        error => error,
      )
      t.match(error, { code: 'access-denied', next: 'never' })
      t.notMatch(JSON.stringify([error.message, String(error.cause), error.stack]), /not-the-secret|AKIA/)
    }
    bucket.close()
  }
  t.equal(await implementations[1]?.bucket.head('wrong/a', never), undefined)
})
