import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { type Section, writePage } from './page.js'
import { type Kept, type Part, type Picture, published, readPublished, shown, writePublished } from './published.js'

/** A picture and what is in it. */
export interface Drawn extends Picture {
  svg: string
}

/** Beside the pictures, in the folder named like the page. */
const FIGURES = 'figures.json'

/**
 * Puts one benchmark's run on the page, with its pictures; all the others stay as they are there. Pictures nothing on the page
 * links to any more are removed.
 * @param page e.g. docs/performance.md; figures and pictures lie in docs/performance/
 * @param sections every benchmark, in the order of the page
 */
export function publish(
  page: string,
  sections: readonly Section[],
  name: string,
  form: keyof Kept,
  part: Part,
  drawn: readonly Drawn[],
): void {
  const folder = join(dirname(page), basename(page, '.md'))
  const all = published(readPublished(join(folder, FIGURES)), name, form, part)
  keepPictures(folder, drawn)
  writePublished(join(folder, FIGURES), all)
  const linked = new Set(
    Object.values(all).flatMap(kept => shown(kept).flatMap(({ pictures }) => pictures.map(({ file }) => file))),
  )
  for (const file of readdirSync(folder)) if (file.endsWith('.svg') && !linked.has(file)) rmSync(join(folder, file))
  writePage(page, sections, all, basename(folder))
}

export function keepPictures(folder: string, drawn: readonly Drawn[]): void {
  mkdirSync(folder, { recursive: true })
  for (const { file, svg } of drawn) writeFileSync(join(folder, file), svg)
}
