import { readFileSync, writeFileSync } from 'node:fs'
import type { Figure } from './figure.js'
import type { MachineFacts } from './machine.js'
import { markdownTable, short } from './table.js'

const BEGIN = '<!-- figures: written by make bench PAGE=1 -->'
const END = '<!-- end of figures -->'
const GIBI = 1024 ** 3

/**
 * Puts the figures between the page's two marks.
 * @throws Error when the marks are not there
 */
export function writePage(file: string, figures: readonly Figure[], machine: MachineFacts, at: string): void {
  const page = readFileSync(file, 'utf8')
  const begin = page.indexOf(BEGIN)
  const end = page.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`${file} has no place for figures: ${BEGIN} … ${END}`)
  const facts = [
    `${machine.cores} cores of ${machine.cpu}, ${short(machine.memoryBytes / GIBI)} GiB of memory, Linux ${machine.kernel}`,
    `Node ${machine.node}, nats-server ${machine.natsServer}, Redis ${machine.redis}, pyarrow ${machine.pyarrow}`,
    `${at.slice(0, 10)}, at commit ${machine.commit}; ${short(machine.load)} processes wanted to run when it began`,
  ]
  const written = `${BEGIN}\n\n${facts.join(' · ')}\n\n${markdownTable(figures)}\n\n`
  writeFileSync(file, page.slice(0, begin) + written + page.slice(end))
}
