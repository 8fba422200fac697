import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import t from 'tap'

const pool = new URL('../../src/environment/judge/pool.js', import.meta.url).href

/** A program with one judge at work on an endless answer; it says so by its pid. */
const PROGRAM = `
const { startJudgePool } = await import(${JSON.stringify(pool)})
const pool = await startJudgePool({ python: 'python3', module: 'code_job', workers: 1 })
const code = 'while True: x = 1'
pool.judge({ job: { code, tests: [''], seconds: 600 }, seconds: 600, memoryBytes: 2 ** 30 }, new AbortController().signal)
console.log(process.pid)
setInterval(() => {}, 1e6)
`

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.split(' ').filter(Boolean).map(Number)
}

/** Resolves when the process is gone. */
async function gone(pid: number): Promise<void> {
  await once(spawn('tail', [`--pid=${pid}`, '-f', '/dev/null'], { stdio: 'ignore' }), 'exit')
}

await t.test('judges and the answer they are at end with a program that is killed', async t => {
  const program = spawn(process.execPath, [...process.execArgv, '--input-type=module', '--eval', PROGRAM], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => program.kill('SIGKILL'))
  const [line] = (await once(createInterface({ input: program.stdout }), 'line')) as [string]
  const pid = Number(line)
  let nursery: number | undefined
  for (const child of await childrenOf(pid))
    if ((await readFile(`/proc/${child}/cmdline`, 'utf8')).includes('nursery.py')) nursery = child
  t.ok(nursery, 'the nursery is a child of the program')
  let answer: number | undefined
  while (answer === undefined) [answer] = await childrenOf(nursery!)
  program.kill('SIGKILL')
  await Promise.all([gone(pid), gone(nursery!), gone(answer)])
  t.pass('none of the three is left')
})
