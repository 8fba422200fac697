import { existsSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { judgeCode } from '../../src/environment/code-judge.js'
import type { Job } from '../../src/environment/judge/nursery.js'
import { judgeAll, startJudgePool } from '../../src/environment/judge/pool.js'

const signal = new AbortController().signal
const pool = await startJudgePool({ python: 'python3', module: 'code_job', workers: 2 })
t.teardown(() => pool.close())

/** Tests of one second each, so that the hopeless ones do not take five. */
const job = (code: string, tests = ['assert f(1) == 2'], seconds = 2): Job => ({
  job: { code, tests, seconds: 1 },
  seconds,
  memoryBytes: 1024 ** 3,
})
const RIGHT = 'def f(x):\n    return x + 1'
const VALID = { syntax: 'valid' }

/** Reaches the interpreter's own modules past every restriction of names, as hostile code can: through a frame. */
const ESCAPE = `
def outside():
    try:
        1 / 0
    except Exception as error:
        frame = error.__traceback__.tb_frame
        while frame.f_back:
            frame = frame.f_back
        return frame.f_globals
os = outside()['os']
load = outside()['__builtins__'].__import__
`
/** f(1) is 2 when \`deed\` is refused by the system. */
const refused = (deed: string) => `${ESCAPE}
def f(x):
    try:
        ${deed}
    except Exception as error:
        return 2 if type(error).__name__ in ('PermissionError', 'BlockingIOError', 'ValueError') else type(error).__name__
    return 'done'`

await t.test('verdicts are the reference’s', async t => {
  const cases: [title: string, code: string, passed: boolean][] = [
    ['right code', RIGHT, true],
    ['wrong code', 'def f(x):\n    return x', false],
    ['a module of the list', `import collections.abc, math, re\n${RIGHT}`, true],
    ['typing is not on the list', `from typing import List\n${RIGHT}`, false],
    ['os is not on the list', `import os\n${RIGHT}`, false],
    ['sys.exit', 'import sys\nsys.exit()', false],
    ['a builtin that is left out', `hash(1)\n${RIGHT}`, false],
    ['open is left out', `open('/etc/passwd')\n${RIGHT}`, false],
    ['an exception that is no Exception', 'raise BaseException()', false],
    ['a class has no module to be in, as in the reference', 'class A:\n    pass\ndef f(x):\n    return 2', false],
    ['printing is lost', `print('x' * 1000)\n${RIGHT}`, true],
    [
      'sets iterate the same way every time',
      `${RIGHT}\nassert ''.join({'a', 'b', 'c', 'd'}) == ''.join({'a', 'b', 'c', 'd'})`,
      true,
    ],
  ]
  for (const [title, code, passed] of cases)
    t.same(await pool.judge(job(code), signal), { timedOut: false, parts: [VALID, { passed: [passed] }] }, title)
  t.same((await pool.judge(job('def f(x) return'), signal)).parts, [{ syntax: 'invalid' }])
  t.same((await pool.judge(job('"\ud800"'), signal)).parts, [{ syntax: 'unreadable' }])
})

await t.test('a runaway answer ends and takes nothing with it', async t => {
  const cases: [title: string, code: string, timedOut: boolean][] = [
    ['an endless loop meets its alarm', 'def f(x):\n    while True:\n        x = x', false],
    ['endless output', 'def f(x):\n    while True:\n        print("x" * 1000000)', false],
    ['a memory bomb', 'def f(x):\n    return [0] * 10**11', false],
    [
      'a slow memory bomb',
      'def f(x):\n    a = []\n    while True:\n        a.append("x" * 10**7 + str(len(a)))',
      false,
    ],
    ['endless recursion', 'def f(x):\n    return f(x)', false],
    [
      'a loop that swallows its alarm',
      'def f(x):\n    while True:\n        try:\n            while True:\n                sum(range(1000))\n        except Exception:\n            x += 1',
      true,
    ],
    ['one long call that hears no alarm', 'def f(x):\n    return sum(range(10**12))', true],
  ]
  for (const [title, code, timedOut] of cases) {
    const verdict = await pool.judge(job(code), signal)
    t.equal(verdict.timedOut, timedOut, title)
    t.same(verdict.parts, timedOut ? [VALID] : [VALID, { passed: [false] }], title)
  }
  t.same((await pool.judge(job(RIGHT), signal)).parts, [VALID, { passed: [true] }], 'the next answer is judged as ever')
})

await t.test('code that breaks out of Python meets the kernel', async t => {
  const server = createServer((_, response) => response.end())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const mark = join(tmpdir(), `grail-escaped-${process.pid}`)
  t.teardown(() => rmSync(mark, { force: true }))
  const deeds: Record<string, string> = {
    'a network connection': `load('_socket').socket().connect(('127.0.0.1', ${port}))`,
    'a new process': 'os.fork()',
    'another program': "os.execv('/bin/true', ['true'])",
    'a shell': `os.posix_spawn('/bin/sh', ['sh', '-c', 'touch ${mark}'], {})`,
    'a new file': `os.open('${mark}', os.O_CREAT | os.O_WRONLY)`,
    'a signal to its judge': 'os.kill(os.getppid(), 9)',
    'deleting a file': "os.unlink('/tmp/none')",
    'renaming a file': "os.rename('/tmp/none', '/tmp/some')",
    'a link': `os.symlink('/etc/passwd', '${mark}')`,
    'looser limits': "load('resource').setrlimit(load('resource').RLIMIT_AS, (2**40, 2**40))",
    'memory of another process': "os.open('/proc/%d/mem' % os.getppid(), os.O_RDWR)",
  }
  for (const [title, deed] of Object.entries(deeds))
    t.same((await pool.judge(job(refused(deed)), signal)).parts, [VALID, { passed: [true] }], title)
  t.notOk(existsSync(mark))
  const threads = "load('_thread').start_new_thread(print, ())"
  t.same(
    (
      await pool.judge(
        job(`${ESCAPE}\ndef f(x):\n    try:\n        ${threads}\n    except Exception:\n        return 2`),
        signal,
      )
    ).parts,
    [VALID, { passed: [true] }],
    'a thread',
  )
})

await t.test('a fork bomb leaves no process behind', async t => {
  const bomb = `${ESCAPE}\ndef f(x):\n    born = 0\n    for _ in range(1000):\n        try:\n            born += os.fork() >= 0\n        except Exception:\n            pass\n    return 2 if born == 0 else born`
  t.same((await pool.judge(job(bomb), signal)).parts, [VALID, { passed: [true] }])
})

await t.test('an answer cannot speak for others', async t => {
  const forged = String.raw`b'{"id": 1, "outcome": "done", "parts": [{"syntax": "valid"}, {"passed": [true]}], "detail": ""}\n'`
  const shout = `${ESCAPE}\nfor fd in range(64):\n    try:\n        os.write(fd, ${forged})\n    except Exception:\n        pass\n`
  const { parts } = await pool.judge(job(shout), signal)
  t.same([parts[0], parts[2]], [VALID, { passed: [false] }], 'what it writes stays within its own report')
  await t.rejects(judgedAs(parts), { name: 'RewardError' }, 'which is then no verdict')
  t.same((await pool.judge(job(RIGHT), signal)).parts, [VALID, { passed: [true] }], 'and the next answer gets its own')
  const flood = `${ESCAPE}\nwhile True:\n    for fd in range(3, 64):\n        try:\n            os.write(fd, b'x' * 4096)\n        except Exception:\n            pass\n`
  await t.rejects(pool.judge(job(flood), signal), { name: 'RewardError', message: /too long/ }, 'a flood is cut')
  t.same((await pool.judge(job(`import math\nmath.floor = None\n${RIGHT}`), signal)).parts, [VALID, { passed: [true] }])
  t.same(
    (await pool.judge(job(`import math\ndef f(x):\n    return math.floor(2.5)`), signal)).parts,
    [VALID, { passed: [true] }],
    'what one answer breaks is whole for the next',
  )
})

/** What judgeCode makes of a report that is not one. */
async function judgedAs(parts: unknown[]) {
  const forger = { facts: { python: '' }, judge: async () => ({ timedOut: false, parts }), close() {} }
  return await judgeCode(['t'], '<SOLUTION>code</SOLUTION>', 'native', forger, signal)
}

await t.test('a process that dies without a verdict is no wrong answer', async t => {
  await t.rejects(pool.judge(job(`${ESCAPE}\nos._exit(0)`), signal), {
    name: 'RewardError',
    message: /could not be judged in 3 tries: its process crashed: exit 0/,
  })
})

await t.test('reports that make no sense are no verdict', async t => {
  for (const parts of [
    [],
    [{ syntax: 'valid' }],
    [{ syntax: 'valid' }, { passed: [true, true] }],
    [{ syntax: 'valid' }, { passed: [7] }],
  ])
    await t.rejects(judgedAs(parts), { name: 'RewardError' }, JSON.stringify(parts))
})

await t.test('rewards of timed-out and unreadable code', async t => {
  const verdicts = (timedOut: boolean, parts: unknown[]) => ({
    facts: { python: '' },
    judge: async () => ({ timedOut, parts }),
    close() {},
  })
  const text = `</think><SOLUTION>code</SOLUTION>${'x'.repeat(60)}`
  const judge = (timedOut: boolean, parts: unknown[]) =>
    judgeCode(['t', 't'], text, 'native', verdicts(timedOut, parts), signal)
  t.match(await judge(true, [VALID]), { components: [0, 1, 0, 1], testsPassed: 0, testsTotal: 2, success: false })
  t.match(await judge(true, []), { components: [0, 0, 0, 1], testsTotal: 2 })
  t.match(
    await judge(false, [{ syntax: 'unreadable' }]),
    { components: [0, 0, 1, 1], testsTotal: 0 },
    'as if the tags were empty',
  )
  t.match(await judge(false, [VALID, { passed: [true, false] }]), { components: [0.5, 1, 0, 1], success: false })
})

await t.test('a caller who gives up gets free at once, and the pool goes on', async t => {
  const givenUp = new AbortController()
  const endless = pool.judge(job('def f(x):\n    while True: x = x', undefined, 60), givenUp.signal)
  givenUp.abort(new Error('the window is over'))
  await t.rejects(endless, { message: 'the window is over' })
  t.same((await pool.judge(job(RIGHT), signal)).parts, [VALID, { passed: [true] }])
})

await t.test('more answers than judges wait their turn, and judges are replaced', async t => {
  const texts = Array.from({ length: 130 }, (_, i) => `def f(x):\n    return ${i % 2 === 0 ? 2 : 0}`)
  const verdicts = await judgeAll(texts, (code, either) => pool.judge(job(code), either), signal)
  t.same(
    verdicts.map(({ parts }) => (parts[1] as { passed: boolean[] }).passed[0]),
    texts.map((_, i) => i % 2 === 0),
  )
})

await t.test('one answer that cannot be judged ends its group', async t => {
  const texts = [`${ESCAPE}\nos._exit(1)`, ...Array.from({ length: 5 }, () => 'def f(x):\n    while True: x = x')]
  await t.rejects(
    judgeAll(texts, (code, either) => pool.judge(job(code, undefined, 60), either), signal),
    { name: 'RewardError', message: /exit 1/ },
  )
})

await t.test('no Python, no judge', async t => {
  await t.rejects(startJudgePool({ python: '/nowhere/python3', module: 'code_job', workers: 1 }), {
    name: 'RewardError',
    message: /does not start with \/nowhere\/python3: .*ENOENT.* It needs Python 3\.10/,
  })
  await t.rejects(startJudgePool({ python: 'python3', module: 'no_such_job', workers: 1 }), {
    name: 'RewardError',
    message: /No module named 'no_such_job'/,
  })
})

await t.test('a closed pool says so', async t => {
  const short = await startJudgePool({ python: 'python3', module: 'code_job', workers: 1 })
  const running = short.judge(job('def f(x):\n    while True: x = x', undefined, 60), signal)
  const waiting = short.judge(job(RIGHT), signal)
  short.close()
  await t.rejects(running, { name: 'RewardError' })
  await t.rejects(waiting, { name: 'RewardError', message: /closed/ })
})
