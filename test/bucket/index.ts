import t from 'tap'
import { type BucketConfig, openBucket } from '../../src/bucket/index.js'

const never = new AbortController().signal

await t.test('a bucket is opened by its kind', async t => {
  const dir = openBucket({ kind: 'dir', folder: t.testdir() })
  t.match(dir, { kind: 'dir', place: t.testdirName })
  t.equal(await dir.head('a', never), undefined)
  const s3 = openBucket({
    kind: 's3',
    endpoint: 'http://127.0.0.1:1',
    bucket: 'grail',
    accessKeyId: 'a',
    secretAccessKey: 'b',
  })
  t.match(s3, { kind: 's3', place: 'http://127.0.0.1:1/grail' })
  s3.close()
})

await t.test('a wrong configuration is one line that names what is wrong and never a value', async t => {
  const cases: [config: object, says: RegExp][] = [
    [{ kind: 'ftp' }, /no bucket of kind 'ftp': there are dir and s3/],
    [{ kind: 'constructor' }, /no bucket of kind/],
    [{ kind: 'dir' }, /the dir bucket cannot be opened: folder: /],
    [{ kind: 'dir', folder: '' }, /folder: a dir bucket needs a folder/],
    [{ kind: 'dir', folder: '/x', secretAccessKey: 'hunter2' }, /secretAccessKey/],
    [
      { kind: 's3', endpoint: 'hunter2', bucket: '', accessKeyId: '', secretAccessKey: '' },
      /endpoint: .*; bucket: .*; accessKeyId: .*; secretAccessKey: /,
    ],
  ]
  for (const [config, says] of cases) {
    try {
      openBucket(config as BucketConfig)
      t.fail(`${JSON.stringify(config)} was taken`)
    } catch (error) {
      t.match((error as Error).message, says)
      t.notMatch((error as Error).message, /hunter2|\n/)
    }
  }
})
