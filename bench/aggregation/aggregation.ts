import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { NODE_ARGS, NODE_ENVIRONMENT } from '../../actors/aggregator/node-process.js'
import { packageRoot } from '../../src/package-root.js'
import { hotkeyOf, keyPairOfSeed, ready } from '../../src/wallet/sr25519.js'
import { GROUP_SIZE } from '../../src/window/group.js'
import type { Benchmark, Circumstances } from '../benchmark.js'
import { cleanly } from '../measure/bounded.js'
import { beside, runChild } from '../measure/child.js'
import { percentile } from '../measure/statistics.js'
import { type Figure, figure } from '../report/figure.js'
import { lineChart } from '../report/line-chart.js'
import { pythonPath } from '../report/machine.js'
import { short } from '../report/table.js'
import type { AssemblerResult, AssemblerTask } from './assembler.js'
import { groupMaker, sampleOrigin, stageAsJson, stageInFile } from './window.js'

/** Completion tokens of a rollout. */
const TOKENS = 1_200
/** Rollouts of a window: one host of eight GPUs, a good window, the cap. */
const SIZES = [2_400, 5_000, 12_800]
/** A window of so many rollouts is made before the one that is measured. */
const WARM_UP_ROLLOUTS = 1_600
/** The product's own default. */
const PART_BYTES = 8 * 1024 * 1024
const CPU_GOAL_MS = 0.5
/** A neighbour on the same core makes the same work take a third as long again: what it takes without one, percentile of stretches. */
const LEAST_DISTURBED = 10
const PYTHON_GOAL = 0.5
const MEMORY_GOAL_MB = 300
const MEGA = 1e6

interface PythonResult {
  cpuSeconds: number
  peakBytes: number
  rows: number
  steps: Record<string, number>
  same?: boolean
}

const run = promisify(execFile)

async function python(staged: string, out: string, ours?: string): Promise<PythonResult> {
  const script = join(packageRoot, 'bench/aggregation/python-path.py')
  const { stdout } = await run(pythonPath, [script, staged, out, ...(ours ? [ours] : [])], { encoding: 'utf8' })
  return JSON.parse(stdout) as PythonResult
}

async function measure({ repetitions, long, draw, say }: Circumstances): Promise<Figure[]> {
  return cleanly(async bench => {
    const folder = await mkdtemp(join(tmpdir(), 'grail-bench-'))
    bench.teardown(() => rm(folder, { recursive: true, force: true }))
    await ready()
    const seed = createHash('sha256').update('a hotkey of the benchmark').digest()
    const origin = sampleOrigin(hotkeyOf(keyPairOfSeed(seed)).ss58)
    const makeGroup = groupMaker(origin, TOKENS)
    const groupsOf = (rollouts: number) => Math.floor(rollouts / GROUP_SIZE)
    const all = stageInFile(folder, makeGroup, groupsOf(Math.max(...SIZES)))
    const ours = join(folder, 'ours.parquet')
    const theirs = join(folder, 'theirs.parquet')
    const assemble = (rollouts: number, options: { sign: boolean; steps?: boolean; cold?: boolean }) =>
      runChild<AssemblerTask, AssemblerResult>(
        beside(import.meta.url, 'assembler'),
        {
          file: all.file,
          entries: all.entries.slice(0, groupsOf(rollouts)),
          origin,
          seed,
          partBytes: PART_BYTES,
          warmUpGroups: options.cold ? 0 : groupsOf(WARM_UP_ROLLOUTS),
          out: ours,
          sign: options.sign,
          steps: options.steps ?? false,
        },
        { args: NODE_ARGS, environment: NODE_ENVIRONMENT },
      )
    const milliseconds = ({ cpuSeconds, rows }: { cpuSeconds: number; rows: number }) => (cpuSeconds / rows) * 1_000

    const [small = 0] = SIZES
    const json = stageAsJson(folder, makeGroup, groupsOf(small))
    const signed: Map<number, AssemblerResult[]> = new Map(SIZES.map(size => [size, []]))
    const unsigned: number[] = []
    const cold: number[] = []
    const inPython: PythonResult[] = []
    for (let repetition = 0; repetition < repetitions; repetition++) {
      for (const size of SIZES) signed.get(size)?.push(await assemble(size, { sign: true }))
      unsigned.push(milliseconds(await assemble(small, { sign: false })))
      cold.push(milliseconds(await assemble(small, { sign: true, cold: true })))
      const other = await python(json, theirs, repetition === 0 ? ours : undefined)
      if (other.same === false) throw new Error('the two ways did not come to the same rows')
      inPython.push(other)
      say(
        `${repetition + 1}/${repetitions}: ${SIZES.map(size => short(milliseconds(signed.get(size)?.at(-1) as AssemblerResult))).join(' / ')} ms per rollout, unsigned ${short(unsigned.at(-1) as number)}, Python ${short(milliseconds(other))}`,
      )
    }
    const stepwise: AssemblerResult[] = []
    for (let repetition = 0; repetition < repetitions; repetition++)
      stepwise.push(await assemble(small, { sign: true, steps: true }))
    const pythonMemory = long ? [await pythonMemoryMb(Math.max(...SIZES))] : []

    const last = (size: number) => signed.get(size)?.at(-1) as AssemblerResult
    const biggest = last(Math.max(...SIZES))
    const title = 'Memory of an assembly, rollouts of 1,200 tokens'
    draw(
      'aggregation-memory',
      title,
      lineChart({
        title,
        x: { label: 'rollouts written' },
        y: { label: 'memory in use, MB' },
        series: [{ name: 'this fleet', points: biggest.looks.map(({ rows, memory }) => [rows, memory / MEGA]) }],
        limit: { at: MEMORY_GOAL_MB, name: 'goal' },
      }),
    )
    const values = (size: number) => (signed.get(size) ?? []).map(milliseconds)
    const steps = Object.keys(stepwise[0]?.steps ?? {})
    const pythonSteps = Object.keys(inPython[0]?.steps ?? {})
    return [
      ...SIZES.map(size =>
        figure({
          id: `aggregation.cpu.${size}`,
          title: `CPU per rollout, ${size} rollouts, all in`,
          unit: 'ms',
          values: values(size),
          // Milliseconds are this machine's: what it takes for the other way says how quick it is.
          ...(size === small
            ? { baseline: { name: 'JSON + pyarrow, unsigned', values: inPython.map(milliseconds) } }
            : {}),
          goal: { of: 'value', is: 'at most', limit: CPU_GOAL_MS },
        }),
      ),
      figure({
        id: 'aggregation.quietest',
        title: `the same in the least disturbed tenth of it, ${Math.max(...SIZES)} rollouts`,
        unit: 'ms',
        values: (signed.get(Math.max(...SIZES)) ?? []).map(result => percentile(stretchesOf(result), LEAST_DISTURBED)),
      }),
      figure({
        id: 'aggregation.cold',
        title: `the same in a process's first window, ${small} rollouts`,
        unit: 'ms',
        values: cold,
      }),
      figure({
        id: 'aggregation.unsigned',
        title: `CPU per rollout, ${small} rollouts, unsigned`,
        unit: 'ms',
        values: unsigned,
        baseline: { name: 'JSON + pyarrow', values: inPython.map(milliseconds) },
        goal: { of: 'ratio', is: 'at most', limit: PYTHON_GOAL },
      }),
      ...SIZES.map(size =>
        figure({
          id: `aggregation.memory.${size}`,
          title: `peak memory, ${size} rollouts`,
          unit: 'MB',
          values: (signed.get(size) ?? []).map(({ peakBytes }) => peakBytes / MEGA),
          ...(size === small
            ? { baseline: { name: 'JSON + pyarrow', values: inPython.map(({ peakBytes }) => peakBytes / MEGA) } }
            : {}),
          goal: { of: 'value', is: 'at most', limit: MEMORY_GOAL_MB },
        }),
      ),
      ...steps.map(step =>
        figure({
          id: `aggregation.step.${step}`,
          title: `  of it: ${step}`,
          unit: 'ms',
          values: stepwise.map(result => ((result.steps[step] ?? 0) / result.rows) * 1_000),
        }),
      ),
      ...pythonSteps.map(step =>
        figure({
          id: `aggregation.python.${step}`,
          title: `  of Python's: ${step}`,
          unit: 'ms',
          values: inPython.map(result => ((result.steps[step] ?? 0) / result.rows) * 1_000),
        }),
      ),
      ...(pythonMemory.length > 0
        ? [
            figure({
              id: 'aggregation.python.memory',
              title: `Python's peak memory, ${Math.max(...SIZES)} rollouts`,
              unit: 'MB',
              values: pythonMemory,
            }),
          ]
        : []),
    ]

    async function pythonMemoryMb(size: number): Promise<number> {
      const staged = stageAsJson(folder, makeGroup, groupsOf(size))
      return (await python(staged, theirs)).peakBytes / MEGA
    }
  })
}

/** ms per rollout from look to look. */
function stretchesOf({ looks }: AssemblerResult): number[] {
  return looks.slice(1).map(({ rows, cpuSeconds }, i) => {
    const before = looks[i] as (typeof looks)[number]
    return ((cpuSeconds - before.cpuSeconds) / (rows - before.rows)) * 1_000
  })
}

export const aggregation: Benchmark = {
  name: 'aggregation',
  about: 'a window file from staged groups: CPU and memory, against JSON and pyarrow',
  run: measure,
}
