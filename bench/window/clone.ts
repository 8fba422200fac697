import { execFile, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { packageRoot } from '../../src/package-root.js'
import type { Benchmark, Circumstances } from '../benchmark.js'
import { cleanly } from '../measure/bounded.js'
import { type Figure, figure } from '../report/figure.js'
import { short } from '../report/table.js'

const GOAL_S = 120
/** Setting up over a slow line takes some minutes; then three windows of 45 s are waited for. */
const LIMIT_MS = 600_000
/** What `make up` says when it has the verdict on a window file. */
const VALIDATED = /^validated: /m
/** Its last words, for when that never comes. */
const LAST_CHARACTERS = 600

const run = promisify(execFile)

async function measure({ say }: Circumstances): Promise<Figure[]> {
  return cleanly(async bench => {
    const folder = await mkdtemp(join(tmpdir(), 'grail-clone-'))
    bench.teardown(() => rm(folder, { recursive: true, force: true }))
    const began = performance.now()
    const seconds = () => (performance.now() - began) / 1_000
    const clone = join(folder, 'clone')
    await run('git', ['clone', '--quiet', packageRoot, clone])
    bench.teardown(() => run('make', ['down'], { cwd: clone }).then(() => {}))
    const { setUp, validated } = await makeUp(clone, seconds)
    say(`set up after ${short(setUp)} s, validated after ${short(validated)} s`)
    return [
      figure({
        id: 'clone.validated',
        title: 'git clone to the first validated window',
        unit: 's',
        values: [validated],
        goal: { of: 'value', is: 'at most', limit: GOAL_S },
      }),
      figure({ id: 'clone.setup', title: '  of it until all is installed and compiled', unit: 's', values: [setUp] }),
    ]
  })
}

/** `make up`, until it has said that a window file is valid and has ended. @throws Error with its last words otherwise */
function makeUp(folder: string, seconds: () => number): Promise<{ setUp: number; validated: number }> {
  return new Promise((resolve, reject) => {
    const up = spawn('make', ['up'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    const late = setTimeout(() => up.kill('SIGTERM'), LIMIT_MS)
    let said = ''
    let setUp = Number.NaN
    let validated = Number.NaN
    for (const stream of [up.stdout, up.stderr])
      stream.on('data', (data: Buffer) => {
        said += data.toString()
        if (Number.isNaN(setUp) && said.includes('preparing a rehearsal')) setUp = seconds()
        if (Number.isNaN(validated) && VALIDATED.test(said)) validated = seconds()
      })
    up.once('error', reject)
    up.once('exit', code => {
      clearTimeout(late)
      if (code === 0 && !Number.isNaN(validated)) resolve({ setUp, validated })
      else reject(new Error(`make up ended with ${code}: ${said.slice(-LAST_CHARACTERS)}`))
    })
  })
}

export const clone: Benchmark = {
  name: 'clone',
  about: 'git clone of what is committed, then make up, until a window file is validated',
  run: measure,
}
