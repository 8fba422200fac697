import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { attachedServer } from '../../src/engine/server/attached.js'
import { askServer, type ServerAddress } from '../../src/engine/server/http.js'
import { freePort } from '../../src/engine/server/port.js'
import { processFacts } from '../../src/engine/server/processes.js'
import { endOrphans, recordGroup } from '../../src/engine/server/record.js'
import type { GenerationServer, Launch } from '../../src/engine/server/server.js'
import { type SupervisedOptions, superviseServer } from '../../src/engine/server/supervised.js'
import { standInServer } from '../helpers/generation-server-control.js'
import { gone, groupIsGone } from '../helpers/processes.js'
import { type WatchedLog, watchedLog } from '../helpers/watched-log.js'

// A generation server as a process: how it starts, dies, hangs, is given up and ends.

t.setTimeout(240_000)

const never = new AbortController().signal
const folder = await mkdtemp(join(tmpdir(), 'supervised-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))

const LISTENS = /^listens (\d+) (\d+)/
const SCHEDULER = /^scheduler (\d+)/
const number = (line: string, at = 1): number => Number(/(\d+)(?: (\d+))?/.exec(line)?.[at])

/** A generation of one token. */
async function probe(address: ServerAddress, signal: AbortSignal): Promise<void> {
  const sampling_params = { max_new_tokens: 1, temperature: 1, top_p: 1, top_k: -1, repetition_penalty: 1 }
  const body = { rid: 'probe', input_ids: [5], sampling_params }
  const { status, text } = await askServer(address, 'POST', '/generate', body, { timeoutMs: 60_000, signal })
  if (status !== 200) throw new Error(`${status}: ${text}`)
  if (!text.startsWith('{')) throw new Error('garbage')
}

interface Fixture {
  server: GenerationServer
  log: WatchedLog
  set: (control: Parameters<Awaited<ReturnType<typeof standInServer>>['set']>[0]) => void
  launch: (port: number) => Launch
  record: string
}

let fixtures = 0
async function fixture(t: Test, changes: Partial<SupervisedOptions> = {}): Promise<Fixture> {
  const name = `server-${fixtures++}`
  const stand = await standInServer(folder, name)
  const log = watchedLog()
  const server = superviseServer({
    name,
    stateFolder: folder,
    probe,
    healthEveryMs: 200,
    healthMs: 20_000,
    startMs: 60_000,
    termMs: 2_000,
    crashBudget: { crashes: 3, withinMs: 600_000 },
    random: () => 0,
    onLog: log.onLog,
    onOutOfMemory: line => log.onLog(`memory: ${line}`),
    gpuProcesses: async () => undefined,
    ...changes,
  })
  t.teardown(() => server.stop())
  const args = ['--model-path', folder, '--context-length', '512', '--host', '127.0.0.1', '--port']
  return {
    server,
    log,
    set: stand.set,
    launch: port => ({ program: stand.program, args: [...args, String(port)], env: stand.env }),
    record: join(folder, `${name}.process-group.json`),
  }
}

await t.test('a server that starts, dies and comes back', async t => {
  const { server, log, launch, record, set } = await fixture(t, { healthMs: 4_000 })
  t.equal(server.state().state, 'stopped')
  t.throws(() => server.up(), { name: 'EngineError', next: 'later' }, 'is not to be had before its start')
  set({ start: 'waits' })
  const starting = server.start(launch, never)
  const scheduler = number(await log.line(SCHEDULER))
  t.equal(server.state().state, 'starting', 'is not ready while it loads')
  set({})
  await starting
  const first = number(await log.line(LISTENS))
  const { incarnation } = server.up()
  t.equal(server.state().state, 'ready', 'is ready once it has generated')
  t.equal((await processFacts(first))?.pgid, first, 'leads a process group of its own')
  const written = JSON.parse(await readFile(record, 'utf8')) as { pgid: number; processes: { pid: number }[] }
  t.equal(written.pgid, first, 'which is written down')
  t.ok(
    written.processes.some(({ pid }) => pid === scheduler),
    '… with the processes it started',
  )

  process.kill(first, 'SIGKILL')
  await log.line(/is restarting: killed by SIGKILL; started again in 0\.75 s/)
  t.throws(
    () => server.up(),
    { name: 'EngineError', next: 'later', message: /is restarting/ },
    'killed: come back later',
  )
  await gone(scheduler)
  t.pass('what it had started is ended with it')
  const second = number(await log.line(LISTENS))
  await log.line(/is ready/)
  t.not(second, first, 'it is started again')
  t.equal(server.up().incarnation, incarnation + 1, 'as another one')

  process.kill(second, 'SIGSTOP')
  t.match(
    await log.line(/is restarting/),
    /did not generate within 4 s/,
    'hung: it is found by a generation that does not come, and started again',
  )
  await gone(second)
  const third = number(await log.line(LISTENS))
  await log.line(/is ready/)

  await server.stop()
  await server.stop()
  t.ok(await groupIsGone(third), 'stop() leaves nobody in its group')
  t.notOk(existsSync(record), 'and no record')
  t.equal(server.state().state, 'stopped')
})

await t.test('a server that answers garbage', async t => {
  const { server, log, launch, set } = await fixture(t)
  await server.start(launch, never)
  const pid = number(await log.line(LISTENS))
  set({ trouble: 'garbage', probes: true })
  server.suspect('a group was answered with garbage')
  await log.line(/is degraded: a group was answered with garbage; then garbage/)
  await log.line(/is restarting/)
  await gone(pid)
  t.pass('is degraded, then started again')
  set({})
  await log.line(/is ready/)

  set({ trouble: 'garbage', probes: true })
  server.suspect('one bad answer')
  await log.line(/is degraded/)
  set({})
  t.match(await log.line(/is (ready|restarting)/), /is ready/, 'one that recovers is ready again')
})

await t.test('a port that is taken', async t => {
  const taken: Server = createServer(socket => socket.resume()).listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => void taken.close())
  const { port } = taken.address() as { port: number }
  const other = await freePort()
  const ports = [port, other]
  const chosen = await fixture(t, { pickPort: async () => ports.shift()! })
  await chosen.server.start(chosen.launch, never)
  t.equal(new URL(chosen.server.up().url).port, String(other), 'a chosen one: another one is tried')
  t.match(chosen.log.all(), [/starting/, /scheduler/, /address already in use/, /another program took its port/])

  const fixed = await fixture(t, { port, crashBudget: { crashes: 0, withinMs: 600_000 } })
  await t.rejects(
    fixed.server.start(fixed.launch, never),
    { name: 'EngineError', message: /port \d+ is taken by another program: free it, or leave the port out/ },
    'a given one: said clearly',
  )
  t.ok(taken.listening, 'and the other program is left alone')
})

await t.test('a server that cannot start', async t => {
  const { server, log, launch, set } = await fixture(t, { crashBudget: { crashes: 1, withinMs: 600_000 } })
  set({ start: 'crashes' })
  await t.rejects(
    server.start(launch, never),
    { name: 'EngineError', next: 'never', message: /ended 2 times within 10 minutes.*CUDA out of memory/ },
    'is given up when its crash budget is used up, and says its last words',
  )
  t.match(await log.line(/^memory/), /CUDA out of memory/, 'out of memory is noticed in its log')
  t.equal(server.state().state, 'failed')
  t.throws(() => server.up(), { name: 'EngineError', next: 'never' })
  set({})
  await server.start(launch, never)
  t.equal(server.state().state, 'ready', 'another start tries again')

  const slow = await fixture(t, { startMs: 300, crashBudget: { crashes: 0, withinMs: 600_000 } })
  slow.set({ start: 'waits' })
  await t.rejects(
    slow.server.start(slow.launch, never),
    { message: /did not generate within 0.3 s of its start/ },
    'one that never becomes ready is not waited for',
  )
  await t.rejects(
    slow.server.start(port => ({ ...slow.launch(port), program: join(folder, 'absent') }), never),
    { name: 'EngineError', next: 'never', message: /absent cannot be run/ },
    'a program that is not there is never tried again',
  )
  const patient = await fixture(t)
  patient.set({ start: 'waits' })
  const stopped = new AbortController()
  const starting = patient.server.start(patient.launch, stopped.signal)
  const scheduler = number(await patient.log.line(SCHEDULER))
  stopped.abort(new Error('shutting down'))
  await t.rejects(starting, /shutting down/, 'a start nobody waits for is ended')
  await gone(scheduler)
})

await t.test('a server that ignores SIGTERM', async t => {
  const { server, log, launch, set } = await fixture(t, { termMs: 200 })
  set({ stubborn: true })
  await server.start(launch, never)
  const pid = number(await log.line(LISTENS))
  await server.stop()
  t.ok(await groupIsGone(pid), 'is killed')
})

await t.test('GPU memory', async t => {
  let holders = new Set<number>()
  const asked = watchedLog()
  const { server, log, launch } = await fixture(t, {
    gpuProcesses: async () => {
      asked.onLog('asked')
      return holders
    },
  })
  await server.start(launch, never)
  const pid = number(await log.line(LISTENS))
  holders = new Set([pid])
  let stopped = false
  const stopping = server.stop().then(() => {
    stopped = true
  })
  await asked.line(/asked/)
  await asked.line(/asked/)
  t.notOk(stopped, 'a stop lasts until the driver lists none of its processes')
  holders = new Set()
  await stopping
})

await t.test('what a killed run left behind', async t => {
  const orphan = () => {
    const child = spawn('sh', ['-c', 'sleep 100000 & sleep 100000'], { detached: true, stdio: 'ignore' })
    child.unref()
    return child.pid!
  }
  const file = join(folder, 'left.process-group.json')
  const options = { termMs: 2_000, onLog: () => {} }
  t.same(await endOrphans(file, options), [], 'nothing recorded: nothing ended')

  const left = orphan()
  t.teardown(async () => (await groupIsGone(left)) || process.kill(-left, 'SIGKILL'))
  await recordGroup(file, left)
  const record = JSON.parse(await readFile(file, 'utf8')) as {
    boot: string
    owner: { pid: number; startTicks: number }
    processes: { pid: number; startTicks: number }[]
  }
  const parent = (await processFacts(process.ppid))!
  await writeFile(file, JSON.stringify({ ...record, owner: { pid: parent.pid, startTicks: parent.startTicks } }))
  await t.rejects(
    endOrphans(file, options),
    { name: 'EngineError', next: 'never', message: /belongs to process \d+, which is alive/ },
    'another living owner’s server is not touched',
  )
  const later = record.processes.map(one => ({ ...one, startTicks: one.startTicks + 1 }))
  await writeFile(file, JSON.stringify({ ...record, processes: later }))
  t.same(await endOrphans(file, options), [])
  t.notOk(await groupIsGone(left), 'nor is a group of the same number that started at another time')
  await writeFile(file, JSON.stringify({ ...record, boot: 'another' }))
  t.same(await endOrphans(file, options), [])
  t.notOk(await groupIsGone(left), 'nor one recorded before the machine was started anew')
  await writeFile(file, 'half a rec')
  t.same(await endOrphans(file, options), [], 'a record that cannot be read is ignored')
  await writeFile(file, JSON.stringify({ ...record, owner: { pid: process.pid, startTicks: 1 } }))
  t.ok((await endOrphans(file, options)).includes(left), 'says whom it ended')
  t.ok(await groupIsGone(left), 'the recorded one is ended, whole')
  t.notOk(existsSync(file))

  /** A server whose start finds an orphan of its name, and waits for its memory until `free` is called. */
  async function afterOrphan(signal: AbortSignal) {
    const older = orphan()
    t.teardown(async () => (await groupIsGone(older)) || process.kill(-older, 'SIGKILL'))
    const holders = new Set([older])
    const asked = watchedLog()
    const again = await fixture(t, {
      gpuProcesses: async () => {
        asked.onLog('asked')
        return holders
      },
    })
    await recordGroup(again.record, older)
    const found = JSON.parse(await readFile(again.record, 'utf8')) as typeof record
    await writeFile(again.record, JSON.stringify({ ...found, owner: { pid: found.owner.pid, startTicks: 1 } }))
    const starting = again.server.start(again.launch, signal)
    starting.catch(() => {})
    await asked.line(/asked/)
    await asked.line(/asked/)
    t.ok(await groupIsGone(older), 'before a server of its name is started')
    const started = () => again.log.all().some(line => SCHEDULER.test(line))
    return { starting, started, server: again.server, free: () => holders.clear() }
  }
  const again = await afterOrphan(never)
  t.notOk(again.started(), 'which waits until the driver has its memory back')
  again.free()
  await again.starting

  const stopped = new AbortController()
  const unwanted = await afterOrphan(stopped.signal)
  stopped.abort(new Error('shutting down'))
  unwanted.free()
  await t.rejects(unwanted.starting, /shutting down/, 'a start nobody waits for any more by then')
  t.notOk(unwanted.started(), 'is none')
  t.equal(unwanted.server.state().state, 'stopped')
})

await t.test('a server somebody else started', async t => {
  // Its owner does not look: it would start it again, elsewhere.
  const { server, log, launch, set } = await fixture(t, { healthEveryMs: 60_000 })
  await server.start(launch, never)
  const pid = number(await log.line(LISTENS))
  const seen = watchedLog()
  const { url } = server.up()
  const attach = () => attachedServer({ url, probe, healthEveryMs: 100, healthMs: 20_000, onLog: seen.onLog })
  const attached = attach()
  t.teardown(() => attached.stop())
  const nothing = (): Launch => ({ program: '', args: [], env: {} })
  await attached.start(nothing, never)
  const { incarnation } = attached.up()
  set({ trouble: 'garbage', probes: true })
  attached.suspect('a group was answered with garbage')
  await seen.line(/not well: a group was answered with garbage/)
  t.throws(() => attached.up(), { name: 'EngineError', next: 'later', message: /degraded/ }, 'not well: later')
  set({})
  await seen.line(/well again/)
  t.equal(attached.up().incarnation, incarnation + 1, 'well again: perhaps another one')
  await attached.stop()
  t.notOk(await groupIsGone(pid), 'is left running')
  await server.stop()
  await t.rejects(
    attach().start(nothing, never),
    { name: 'EngineError', next: 'later', message: /went away/ },
    'that is not there: later',
  )
})
