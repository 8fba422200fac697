import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { fileLock } from '../../src/checkpoint/file-lock.js'
import { isAlive, thisProcess } from '../../src/checkpoint/process-identity.js'

// Real processes: on a busy machine they take their time.
t.setTimeout(120_000)

const never = new AbortController().signal
const here = fileURLToPath(import.meta.url)
const program = join(here, `../helpers/lock-process${here.slice(-3)}`)

function start(t: Test, ...args: string[]) {
  const child = spawn(process.execPath, [...process.execArgv, program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

await t.test('of many processes one at a time holds a lock', async t => {
  const folder = t.testdir({ number: '0' })
  const file = join(folder, 'number')
  const children = Array.from({ length: 4 }, () => start(t, join(folder, 'locks'), file, '50'))
  const codes = await Promise.all(children.map(async child => (await once(child, 'close'))[0]))
  t.same(codes, [0, 0, 0, 0])
  t.equal(readFileSync(file, 'utf8'), '200')
  t.equal(readdirSync(join(folder, 'locks')).length, 1, 'and one file is left')
})

await t.test('a lock is had again once it is given back, twice is harmless', async t => {
  const lock = fileLock({ folder: t.testdir(), now: Date.now, pollMs: 1 })
  const first = await lock('a', never)
  const other = await lock('b', never)
  let isSecond = false
  const second = lock('a', never).then(held => {
    isSecond = true
    return held
  })
  await new Promise(resolve => setImmediate(resolve))
  t.notOk(isSecond)
  await first.release()
  await first.release()
  const held = await second
  await first.release()
  const over = new AbortController()
  const third = lock('a', over.signal)
  over.abort(new Error('enough'))
  await t.rejects(third, /enough/, 'still held after the first holder gave back once more')
  await held.release()
  await other.release()
})

await t.test('the lock of a killed process is taken over, that of a living one never', async t => {
  const folder = t.testdir()
  const child = start(t, folder, '-', '0')
  await once(child.stdout, 'data')
  const waiting: unknown[] = []
  const lock = fileLock({
    folder,
    now: () => Date.now() + 10 ** 12,
    pollMs: 1,
    onWaiting: (...args) => waiting.push(args),
  })
  const over = new AbortController()
  const reason = new Error('no time')
  const refused = lock('number', over.signal)
  while (waiting.length === 0) await new Promise(resolve => setImmediate(resolve))
  over.abort(reason)
  await t.rejects(refused, reason, 'however old it is')
  t.same(waiting, [['number', child.pid]])
  child.kill('SIGKILL')
  await once(child, 'close')
  await (await lock('number', never)).release()
})

await t.test('whose process is gone, is another’s now, or ran before the host’s restart holds nothing', async t => {
  const me = await thisProcess()
  const cases: [title: string, owner: object | string, taken: boolean][] = [
    ['a process that is not there', { ...me, pid: 2 ** 22 + 1 }, true],
    ['an earlier process of the same number', { ...me, started: '1' }, true],
    ['another boot', { ...me, boot: '0'.repeat(32) }, true],
    ['given back', '', true],
    ['cut by a power failure', '{"pid":', true],
    ['this very process', me, false],
    ['a process of another container', { ...me, pidNamespace: '1', pid: 1 }, false],
  ]
  for (const [title, owner, taken] of cases) {
    const folder = t.testdir({ 'a.7.lock': typeof owner === 'string' ? owner : JSON.stringify(owner) })
    const over = new AbortController()
    const lock = fileLock({ folder, now: Date.now, pollMs: 1, onWaiting: () => over.abort(new Error('held')) })
    if (taken) {
      await lock('a', over.signal)
      t.same(readdirSync(folder), ['a.8.lock'], title)
    } else await t.rejects(lock('a', over.signal), /held/, title)
  }
})

await t.test('of another container’s process only time tells that it is gone', async t => {
  const me = await thisProcess()
  const folder = t.testdir({ 'a.1.lock': JSON.stringify({ ...me, pidNamespace: '1', pid: 1 }) })
  const HOUR = 60 * 60_000
  await fileLock({ folder, now: () => Date.now() + HOUR, pollMs: 1 })('a', never)
  t.same(readdirSync(folder), ['a.2.lock'])
})

await t.test('locks nobody held for a day are removed', async t => {
  const me = await thisProcess()
  const folder = t.testdir({
    'old.3.lock': '',
    'young.1.lock': '',
    'held.1.lock': JSON.stringify(me),
    '.draft': 'half',
  })
  const longAgo = Date.now() / 1000 - 2 * 24 * 3600
  for (const name of ['old.3.lock', 'held.1.lock', '.draft']) utimesSync(join(folder, name), longAgo, longAgo)
  await fileLock({ folder, now: Date.now, pollMs: 1 })('a', never)
  t.same(readdirSync(folder).sort(), ['a.1.lock', 'held.1.lock', 'young.1.lock'])
})

await t.test('a process that ended but was not yet fetched by its parent is gone', async t => {
  const me = await thisProcess()
  t.equal(await isAlive(me, me), true)
  const parent = spawn('bash', ['-c', 'sleep 1000 & echo $!; wait'], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => parent.kill('SIGKILL'))
  const pid = Number(String((await once(parent.stdout, 'data'))[0]))
  const stateOf = (of: number) => readFileSync(`/proc/${of}/stat`, 'utf8').split(' ')
  const becomes = async (of: number, state: string) => {
    while (stateOf(of)[2] !== state) await new Promise(resolve => setImmediate(resolve))
  }
  // A parent that is stopped fetches nobody.
  parent.kill('SIGSTOP')
  await becomes(parent.pid!, 'T')
  const started = stateOf(pid)[21]!
  process.kill(pid, 'SIGKILL')
  await becomes(pid, 'Z')
  t.equal(await isAlive({ ...me, pid, started }, me), false)
})

t.test('a lock file with a name of its own is no lock of another', async t => {
  const folder = t.testdir({ 'a.b.1.lock': '', 'a.x.lock': '' })
  writeFileSync(join(folder, 'a.0.lock'), '')
  await fileLock({ folder, now: Date.now, pollMs: 1 })('a', never)
  t.same(readdirSync(folder).sort(), ['a.0.lock', 'a.1.lock', 'a.b.1.lock', 'a.x.lock'])
})
