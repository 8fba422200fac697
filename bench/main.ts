import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { packageRoot } from '../src/package-root.js'
import { aggregation } from './aggregation/aggregation.js'
import type { Benchmark } from './benchmark.js'
import { claims } from './claims/claims.js'
import { gpu } from './gpu/gpu.js'
import { gpuServer } from './gpu/gpu-server.js'
import { flatness } from './growth/flatness.js'
import { growth } from './growth/growth.js'
import { pipelining } from './pipelining/pipelining.js'
import type { Figure } from './report/figure.js'
import { keepRun, lastFigures, type Run } from './report/keep.js'
import { machineFacts } from './report/machine.js'
import { type Drawn, keepPictures, publish } from './report/publish.js'
import type { Part } from './report/published.js'
import { textTable } from './report/table.js'
import { staging } from './staging/staging.js'
import { tail } from './tail/tail.js'
import { clone } from './window/clone.js'
import { recovery } from './window/recovery.js'
import { start } from './window/start.js'
import { use, useBatching, useOfMany } from './window/use.js'

/** In the order of the page. */
const SUITE: readonly Benchmark[] = [
  aggregation,
  claims,
  staging,
  tail,
  use,
  useBatching,
  useOfMany,
  pipelining,
  recovery,
  start,
  clone,
  growth,
  flatness,
  gpu,
  gpuServer,
]

const USAGE = `usage: bench [--only name,…] [--long] [--repetitions N] [--page]

${SUITE.map(({ name, about }) => `  ${name.padEnd(12)} ${about}`).join('\n')}`

const DEFAULT_REPETITIONS = 3
/** Of the reason why a benchmark did not come to an end: a fleet's logs are long. */
const REASON_CHARACTERS = 3_000
/** No benchmark takes longer, ms, by day and in the long form; one that does hangs. */
const LIMIT_MS = { day: 12 * 60_000, long: 45 * 60_000 }

const KEPT = join(packageRoot, '.grail', 'bench')
const PAGE = join(packageRoot, 'docs', 'performance.md')

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: '' },
      long: { type: 'boolean', default: false },
      repetitions: { type: 'string', default: String(DEFAULT_REPETITIONS) },
      page: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const wanted = values.only.split(',').filter(Boolean)
  const unknown = wanted.filter(name => !SUITE.some(benchmark => benchmark.name === name))
  const repetitions = Number(values.repetitions)
  if (values.help || unknown.length > 0 || !Number.isInteger(repetitions) || repetitions < 1) {
    const wrong = unknown.length > 0 ? `there is no benchmark ${unknown.join(', ')}\n` : ''
    console.error(`${wrong}${USAGE}`)
    return values.help ? 0 : 2
  }
  const form = values.long ? 'long' : 'day'
  const last = lastFigures(KEPT)
  const run: Run = {
    at: new Date().toISOString(),
    long: values.long,
    machine: machineFacts(),
    seconds: {},
    figures: [],
    failed: {},
  }
  const chosen = SUITE.filter(({ name, only }) =>
    wanted.length > 0 ? wanted.includes(name) : only === undefined || only === form,
  )
  for (const benchmark of chosen) {
    const { name, about } = benchmark
    console.log(`${name}: ${about}`)
    const began = Date.now()
    const drawn: Drawn[] = []
    let figures: Figure[] = []
    const late = new AbortController()
    try {
      figures = await Promise.race([
        benchmark.run({
          long: values.long,
          repetitions,
          draw: (file, title, svg) => drawn.push({ file: `${file}.svg`, title, svg }),
          say: line => console.log(`  ${line}`),
        }),
        sleep(LIMIT_MS[form], undefined, { signal: late.signal }).then(() => {
          throw new Error(`not over within ${LIMIT_MS[form] / 60_000} minutes`)
        }),
      ])
    } catch (error) {
      run.failed[name] = String(error).slice(0, REASON_CHARACTERS)
      console.log(`  did not come to an end: ${run.failed[name]?.split('\n')[0]}`)
    }
    late.abort()
    run.seconds[name] = (Date.now() - began) / 1_000
    run.figures.push(...figures)
    // After every benchmark: whatever happens to the next one, what was measured is there.
    keepRun(KEPT, run)
    keepPictures(join(KEPT, 'pictures'), drawn)
    const part: Part = {
      ...{ at: run.at, machine: run.machine, seconds: run.seconds[name] ?? 0, figures },
      pictures: drawn.map(({ file, title }) => ({ file, title })),
    }
    // One that had nothing to measure here (no GPU, say) leaves what another machine measured.
    if (values.page && figures.length > 0) publish(PAGE, SUITE, name, form, part, drawn)
  }
  console.log(`\n${textTable(run.figures, last)}\n`)
  const judged = run.figures.filter(({ met }) => met !== undefined)
  const missed = judged.filter(({ met }) => met === false)
  console.log(`${judged.length - missed.length} of ${judged.length} goals met; kept as ${keepRun(KEPT, run)}`)
  for (const [name, why] of Object.entries(run.failed)) console.log(`${name} did not come to an end: ${why}`)
  return Object.keys(run.failed).length > 0 ? 1 : 0
}

// A benchmark that failed may have left processes behind: they end with this one.
process.exit(await main())
