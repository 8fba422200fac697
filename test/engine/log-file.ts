import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { openLogFile } from '../../src/engine/server/log-file.js'

const root = await mkdtemp(join(tmpdir(), 'log-file-'))
t.teardown(() => rm(root, { recursive: true, force: true }))

const silent = (message: string): never => {
  throw new Error(message)
}
const line = (n: number): string => `line ${String(n).padStart(3, '0')}`
/** As `line` writes them, with the line end. */
const LINE_BYTES = 9

await t.test('a log grows to its size, then begins anew', async t => {
  const folder = join(root, 'grows', 'deep')
  const file = join(folder, 'server.log')
  const log = openLogFile(file, { bytes: 10 * LINE_BYTES, backups: 2, onTrouble: silent })
  for (let n = 0; n < 45; n++) log.write(line(n))
  await log.flush()
  t.same((await readdir(folder)).sort(), ['server.log', 'server.log.1', 'server.log.2'], 'as many files as wanted')
  const read = async (name: string) => (await readFile(join(folder, name), 'utf8')).split('\n').slice(0, -1)
  t.same(await read('server.log'), [40, 41, 42, 43, 44].map(line), 'the newest lines are in the file itself')
  t.same([(await read('server.log.1'))[0], (await read('server.log.2'))[0]], [line(30), line(20)], 'older ones follow')
  t.equal((await read('server.log.2')).length, 10, 'a file is filled, never overfilled')

  const again = openLogFile(file, { bytes: 10 * LINE_BYTES, backups: 2, onTrouble: silent })
  for (let n = 45; n < 51; n++) again.write(line(n))
  await again.flush()
  t.same(await read('server.log'), [line(50)], 'a later run goes on where the earlier one stopped')
  t.same((await read('server.log.1')).at(-1), line(49))
})

await t.test('a line longer than a file', async t => {
  const file = join(root, 'long', 'server.log')
  const log = openLogFile(file, { bytes: 20, backups: 1, onTrouble: silent })
  for (const text of ['short', 'x'.repeat(100), 'after']) log.write(text)
  await log.flush()
  t.equal(await readFile(`${file}.1`, 'utf8'), `${'x'.repeat(100)}\n`, 'stands alone in one')
  t.equal(await readFile(file, 'utf8'), 'after\n')
})

await t.test('without backups', async t => {
  const folder = join(root, 'none')
  const log = openLogFile(join(folder, 'server.log'), { bytes: 2 * LINE_BYTES, backups: 0, onTrouble: silent })
  for (let n = 0; n < 5; n++) log.write(line(n))
  await log.flush()
  t.same(await readdir(folder), ['server.log'], 'one file is all there is')
  t.equal(await readFile(join(folder, 'server.log'), 'utf8'), `${line(4)}\n`)
})

await t.test('a disk that refuses', async t => {
  const folder = join(root, 'refused')
  await writeFile(folder, 'a file where the folder should be')
  const troubles: string[] = []
  const log = openLogFile(join(folder, 'server.log'), {
    bytes: 100,
    backups: 1,
    onTrouble: message => troubles.push(message),
  })
  for (let n = 0; n < 3; n++) {
    log.write(line(n))
    await log.flush()
  }
  t.equal(troubles.length, 1, 'is said once')
  t.match(troubles[0], /server\.log cannot be written \(.*\): its lines are lost/)
  await rm(folder)
  await mkdir(folder)
  log.write(line(3))
  await log.flush()
  t.equal(await readFile(join(folder, 'server.log'), 'utf8'), `${line(3)}\n`, 'and is tried again with every line')
})
