import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { parquetWriteBuffer } from 'hyparquet-writer'
import t from 'tap'
import { z } from 'zod'
import { loadPart } from '../../src/environment/dataset/dataset.js'
import type { DatasetPart } from '../../src/environment/dataset/part.js'
import { until } from '../helpers/nats-server.js'

interface Row {
  question: string
  n: number
}
const part: DatasetPart<Row> = {
  repository: 'owner/questions',
  config: 'main',
  split: 'train',
  aliases: ['Published.jsonl.gz'],
  row: z.object({ question: z.string(), n: z.number() }),
}
const rows: Row[] = Array.from({ length: 50 }, (_, n) => ({ question: `why ${n}? é😀`, n }))
const signal = new AbortController().signal

const jsonl = (some: readonly Row[]) => some.map(row => `${JSON.stringify({ ...row, extra: true })}\n`).join('')
const parquet = (some: readonly Row[]) =>
  Buffer.from(
    parquetWriteBuffer({
      columnData: [
        { name: 'n', data: some.map(row => row.n), type: 'INT32' },
        { name: 'question', data: some.map(row => row.question), type: 'STRING' },
      ],
    }),
  )

async function folderWith(root: string, files: Record<string, string | Buffer>): Promise<string> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(root, path, '..'), { recursive: true })
    await writeFile(join(root, path), content)
  }
  return root
}

await t.test('the same rows come from every layout', async t => {
  const layouts: Record<string, Record<string, string | Buffer>> = {
    'a snapshot': { 'main/train-00000-of-00001.parquet': parquet(rows) },
    'a snapshot without configurations': { 'data/train-00000-of-00001.parquet': parquet(rows) },
    'shards in order': {
      'main/train-00001-of-00002.parquet': parquet(rows.slice(30)),
      'main/train-00000-of-00002.parquet': parquet(rows.slice(0, 30)),
    },
    jsonl: { 'train.jsonl': jsonl(rows), 'test.jsonl': jsonl(rows.slice(1)) },
    'packed jsonl': { 'train.jsonl.gz': gzipSync(jsonl(rows)) },
    'a file under its own name': { 'Published.jsonl.gz': gzipSync(jsonl(rows)) },
    'an entry of the hub’s cache': {
      'refs/main': 'abc123',
      'snapshots/abc123/main/train-00000-of-00001.parquet': parquet(rows),
    },
    'a folder for all data sets': { 'train.jsonl': jsonl(rows.slice(3)), 'questions/train.jsonl': jsonl(rows) },
    'the hub’s cache': {
      'datasets--owner--questions/refs/main': 'abc123\n',
      'datasets--owner--questions/snapshots/abc123/main/train-00000-of-00001.parquet': parquet(rows),
    },
  }
  const stateFolder = t.testdir({})
  for (const [title, files] of Object.entries(layouts)) {
    const datasetFolder = await folderWith(join(stateFolder, title), files)
    t.same(await loadPart(part, { datasetFolder, stateFolder }, signal), rows, title)
  }
})

await t.test('rows that changed since their first use are refused', async t => {
  const stateFolder = t.testdir({})
  const datasetFolder = await folderWith(join(stateFolder, 'set'), { 'train.jsonl': jsonl(rows) })
  const load = () => loadPart(part, { datasetFolder, stateFolder }, signal)
  await Promise.all(Array.from({ length: 8 }, load))
  const [record] = await readdir(join(stateFolder, 'datasets'))
  t.equal(record, 'owner--questions.main.train.json', 'one record, whoever came first')
  await folderWith(datasetFolder, { 'train.jsonl': jsonl([...rows].reverse()) })
  await t.rejects(
    load(),
    { name: 'DatasetError', message: /not the data set that was used before: 50 rows/ },
    'their order counts',
  )
  await rm(join(stateFolder, 'datasets', record!))
  t.equal((await load()).length, 50, 'deleting the record accepts the new rows')
  await writeFile(join(stateFolder, 'datasets', record!), '{"rows":')
  await t.rejects(load(), { message: /record .* is damaged/ })
})

await t.test('bad files give one clear error', async t => {
  const cases: [title: string, files: Record<string, string | Buffer>, error: RegExp][] = [
    ['an empty folder', {}, /nothing of it in .*train-00000-of-00001\.parquet/],
    ['no rows', { 'train.jsonl': '\n' }, /has no rows/],
    [
      'a broken line',
      { 'train.jsonl': `${jsonl(rows)}{"question":` },
      /train\.jsonl cannot be read: line 51 is not JSON/,
    ],
    ['another data set', { 'train.jsonl': '{"text":"x"}' }, /row 0 of .* is not of this data set/],
    ['a truncated parquet file', { 'main/train.parquet': parquet(rows).subarray(0, 100) }, /cannot be read/],
    ['no gzip', { 'train.jsonl.gz': 'plain' }, /cannot be read/],
  ]
  const stateFolder = t.testdir({})
  for (const [title, files, message] of cases) {
    const datasetFolder = await folderWith(join(stateFolder, title), { 'README.md': '', ...files })
    await t.rejects(loadPart(part, { datasetFolder, stateFolder }, signal), { name: 'DatasetError', message }, title)
  }
})

/** A hub with one repository; `faults` are played on the first requests for the file. */
async function startHub(content: Buffer, faults: ((request: IncomingMessage, response: ServerResponse) => void)[]) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.url} ${request.headers.range ?? ''}`.trim())
    if (request.url === '/api/datasets/owner/questions/tree/main?recursive=true') {
      const lfs = { oid: createHash('sha256').update(content).digest('hex') }
      const path = 'main/train-00000-of-00001.parquet'
      response.end(
        JSON.stringify([
          { type: 'directory', path: 'main', size: 0 },
          { type: 'file', path, size: content.length, lfs },
        ]),
      )
      return
    }
    const fault = faults.shift()
    if (fault) return fault(request, response)
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    response.writeHead(from > 0 ? 206 : 200)
    response.end(content.subarray(from))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = () => new Promise(resolve => server.close(resolve).closeAllConnections())
  return { hub: `http://127.0.0.1:${port}`, asked, close }
}

await t.test('a part is fetched from the hub once', async t => {
  const content = parquet(rows)
  const stateFolder = t.testdir({})
  const folder = join(stateFolder, 'hub', 'owner--questions', 'main')
  const written = async () => {
    const [name] = await readdir(folder)
    return name === undefined ? 0 : (await stat(join(folder, name))).size
  }
  const { hub, asked, close } = await startHub(content, [
    (_, response) => response.writeHead(503).end(),
    (_, response) => {
      response.writeHead(200, { 'content-length': content.length })
      response.write(content.subarray(0, 500))
      // The line breaks once half the file has been written: what is on its way may get lost with it.
      void until('half the file is there', async () => (await written()) === 500).finally(() => response.destroy())
    },
  ])
  t.teardown(close)
  t.same(await loadPart(part, { stateFolder, hub }, signal), rows)
  t.equal(asked.length, 4, 'the list, a refusal, a half, the rest')
  t.match(asked[3], /resolve\/main\/main\/train-00000-of-00001\.parquet bytes=500-/, 'it went on where it stopped')
  t.same(await loadPart(part, { stateFolder, hub }, signal), rows)
  t.equal(asked.length, 4, 'the second time nothing is asked')
  t.same(await readdir(folder), ['train-00000-of-00001.parquet'])
})

await t.test('what an earlier process fetched is taken up', async t => {
  const content = parquet(rows)
  const cases: [title: string, name: string, ageSeconds: number, resumed: boolean][] = [
    ['left by a download that gave up', '.part', 0, true],
    ['left by a process that was killed', '.part-1234', 3600, true],
    ['not what another process is writing now', '.part-1234', 0, false],
  ]
  const stateFolder = t.testdir({})
  for (const [title, suffix, ageSeconds, resumed] of cases) {
    const { hub, asked, close } = await startHub(content, [])
    const folder = join(stateFolder, title, 'hub', 'owner--questions', 'main')
    const left = join(folder, `train-00000-of-00001.parquet${suffix}`)
    await folderWith(folder, { [`train-00000-of-00001.parquet${suffix}`]: content.subarray(0, 600) })
    const written = Date.now() / 1000 - ageSeconds
    await utimes(left, written, written)
    t.same(await loadPart(part, { stateFolder: join(stateFolder, title), hub }, signal), rows)
    t.match(asked.at(-1), resumed ? /bytes=600-$/ : /parquet$/, title)
    await close()
  }
})

await t.test('a caller who gives up is heard at once, and leaves no half file', async t => {
  const stopped = new AbortController()
  const { hub, close } = await startHub(parquet(rows), [
    (_, response) => void response.writeHead(200).write('PAR1', () => stopped.abort()),
  ])
  t.teardown(close)
  const stateFolder = t.testdir({})
  await t.rejects(loadPart(part, { stateFolder, hub }, stopped.signal), { name: 'AbortError' })
  const left = await readdir(join(stateFolder, 'hub', 'owner--questions', 'main'))
  t.notOk(left.some(name => name.endsWith('.parquet')))
})

await t.test('several processes may fetch the same part at once', async t => {
  const { hub, close } = await startHub(parquet(rows), [])
  t.teardown(close)
  const stateFolder = t.testdir({})
  const loaded = await Promise.all(Array.from({ length: 6 }, () => loadPart(part, { stateFolder, hub }, signal)))
  for (const one of loaded) t.same(one, rows)
})

await t.test('a hub that cannot help says so at once', async t => {
  const content = parquet(rows)
  const { hub, asked, close } = await startHub(content, [(_, response) => response.writeHead(404).end()])
  t.teardown(close)
  const stateFolder = t.testdir({})
  await t.rejects(loadPart(part, { stateFolder, hub }, signal), {
    name: 'DatasetError',
    message: /answers 404 .* copy a snapshot/,
  })
  t.equal(asked.length, 2, 'what cannot succeed is not tried again')
  await t.rejects(loadPart({ ...part, split: 'dev' }, { stateFolder, hub }, signal), {
    message: /has no file of owner\/questions main dev/,
  })
})

await t.test('a damaged download never gets the file’s name', async t => {
  const content = parquet(rows)
  const damaged = Buffer.from(content)
  damaged[100]! ^= 1
  const bad = (_: IncomingMessage, response: ServerResponse) => void response.end(damaged)
  const { hub, close } = await startHub(content, [bad])
  t.teardown(close)
  const stateFolder = t.testdir({})
  t.same(await loadPart(part, { stateFolder, hub }, signal), rows, 'the second try replaces the first')
  const file = join(stateFolder, 'hub', 'owner--questions', 'main', 'train-00000-of-00001.parquet')
  t.ok(content.equals(await readFile(file)))
})
