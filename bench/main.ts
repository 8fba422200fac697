import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { packageRoot } from '../src/package-root.js'
import { aggregation } from './aggregation/aggregation.js'
import type { Benchmark } from './benchmark.js'
import { claims } from './claims/claims.js'
import { growth } from './growth/growth.js'
import type { Figure } from './report/figure.js'
import { keepRun, lastFigures, type Run } from './report/keep.js'
import { machineFacts } from './report/machine.js'
import { writePage } from './report/page.js'
import { textTable } from './report/table.js'
import { staging } from './staging/staging.js'
import { tail } from './tail/tail.js'
import { recovery } from './window/recovery.js'
import { start } from './window/start.js'
import { use } from './window/use.js'

/** In the order of the page. */
const SUITE: readonly Benchmark[] = [aggregation, claims, staging, tail, use, recovery, start, growth]

const USAGE = `usage: bench [--only name,…] [--long] [--repetitions N] [--page]

${SUITE.map(({ name, about }) => `  ${name.padEnd(12)} ${about}`).join('\n')}`

const DEFAULT_REPETITIONS = 3
/** Of the reason why a benchmark did not come to an end: a fleet's logs are long. */
const REASON_CHARACTERS = 3_000

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
  const folder = join(packageRoot, '.grail', 'bench')
  const pictures = values.page ? join(packageRoot, 'docs', 'performance') : join(folder, 'pictures')
  mkdirSync(pictures, { recursive: true })
  const last = lastFigures(folder)
  const run: Run = {
    at: new Date().toISOString(),
    long: values.long,
    machine: machineFacts(),
    seconds: {},
    figures: [],
    failed: {},
  }
  for (const benchmark of SUITE) {
    if (wanted.length > 0 && !wanted.includes(benchmark.name)) continue
    console.log(`${benchmark.name}: ${benchmark.about}`)
    const began = Date.now()
    try {
      const figures = await benchmark.run({
        long: values.long,
        repetitions,
        pictures,
        say: line => console.log(`  ${line}`),
      })
      run.figures.push(...figures)
    } catch (error) {
      run.failed[benchmark.name] = String(error).slice(0, REASON_CHARACTERS)
    }
    run.seconds[benchmark.name] = (Date.now() - began) / 1_000
  }
  console.log(`\n${textTable(run.figures, last)}\n`)
  const judged = run.figures.filter(({ met }) => met !== undefined)
  const missed = judged.filter(({ met }) => met === false)
  console.log(`${judged.length - missed.length} of ${judged.length} goals met; kept as ${keepRun(folder, run)}`)
  if (values.page) {
    // Of benchmarks that were not asked for the figures of their last run stay.
    const known = new Map([...last, ...run.figures.map((figure): [string, Figure] => [figure.id, figure])])
    const order = (id: string) => SUITE.findIndex(({ name }) => id.startsWith(`${name}.`))
    const all = [...known.values()].sort((a, b) => order(a.id) - order(b.id))
    writePage(join(packageRoot, 'docs', 'performance.md'), all, run.machine, run.at)
  }
  for (const [name, why] of Object.entries(run.failed)) console.log(`${name} did not come to an end: ${why}`)
  return Object.keys(run.failed).length > 0 ? 1 : 0
}

// A benchmark that failed may have left processes behind: they end with this one.
process.exit(await main())
