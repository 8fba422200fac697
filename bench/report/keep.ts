import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Figure } from './figure.js'
import type { MachineFacts } from './machine.js'

/** What a run leaves behind. */
export interface Run {
  at: string
  /** The form with real windows and many claimers. */
  long: boolean
  machine: MachineFacts
  /** Seconds each benchmark took. */
  seconds: Record<string, number>
  figures: Figure[]
  /** Benchmarks that did not come to an end, and why. */
  failed: Record<string, string>
}

/** Writes a run as `<folder>/<time>.json`. @returns the file */
export function keepRun(folder: string, run: Run): string {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${run.at.replaceAll(':', '-').replace(/\.\d+Z$/, 'Z')}.json`)
  writeFileSync(file, `${JSON.stringify(run, null, 2)}\n`)
  return file
}

/** The newest figure of every id in the runs kept, whichever run had it. What is no run is passed over. */
export function lastFigures(folder: string): Map<string, Figure> {
  const found = new Map<string, Figure>()
  let names: string[]
  try {
    names = readdirSync(folder)
      .filter(name => name.endsWith('.json'))
      .sort()
  } catch {
    return found
  }
  for (const name of names) {
    try {
      const run = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Run
      for (const figure of run.figures) found.set(figure.id, figure)
    } catch {
      // A run that was cut short while it was written.
    }
  }
  return found
}
