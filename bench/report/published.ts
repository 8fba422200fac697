import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Figure } from './figure.js'
import type { MachineFacts } from './machine.js'

/** A picture beside the page. */
export interface Picture {
  file: string
  title: string
}

/** One benchmark of one run, as the page shows it. */
export interface Part {
  at: string
  machine: MachineFacts
  /** How long it took, s. */
  seconds: number
  figures: Figure[]
  pictures: Picture[]
}

/** The newest runs of one benchmark: a day's run does not take away what only the long form measures. */
export interface Kept {
  day?: Part
  long?: Part
}

/** By name of the benchmark. */
export type Published = Readonly<Record<string, Kept>>

/** What was published before; nothing when there is no such file. @throws SyntaxError when it is not what was written */
export function readPublished(file: string): Published {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
  return JSON.parse(text) as Published
}

/** With one benchmark's new run in place of its last one of that form. The long form measures all that the day's does. */
export function published(before: Published, name: string, form: keyof Kept, part: Part): Published {
  return { ...before, [name]: form === 'long' ? { long: part } : { ...before[name], day: part } }
}

export function writePublished(file: string, all: Published): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(all, null, 2)}\n`)
}

/** What of a benchmark is shown: the day's figures and pictures, and of the long form those that are not among them. */
export function shown({ day, long }: Kept): Part[] {
  if (!day || !long) return [day, long].filter(part => part !== undefined)
  const ids = new Set(day.figures.map(({ id }) => id))
  const files = new Set(day.pictures.map(({ file }) => file))
  const figures = long.figures.filter(({ id }) => !ids.has(id))
  const pictures = long.pictures.filter(({ file }) => !files.has(file))
  return figures.length === 0 ? [day] : [day, { ...long, figures, pictures }]
}
