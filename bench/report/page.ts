import { readFileSync, writeFileSync } from 'node:fs'
import { ABSENT, type MachineFacts } from './machine.js'
import { type Part, type Published, shown } from './published.js'
import { goalTable, markdownTable, short } from './table.js'

const BEGIN = '<!-- figures: written by make bench PAGE=1 -->'
const END = '<!-- end of figures -->'
const GIBI = 1024 ** 3

/** A benchmark's name and what it measures, in the order of the page. */
export interface Section {
  name: string
  about: string
}

/**
 * Puts goals, figures and pictures between the page's two marks; the rest of the page stays as it is.
 * @param pictures folder of the pictures, as the page links to it
 * @throws Error when the marks are not there
 */
export function writePage(file: string, sections: readonly Section[], all: Published, pictures: string): void {
  const page = readFileSync(file, 'utf8')
  const begin = page.indexOf(BEGIN)
  const end = page.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`${file} has no place for figures: ${BEGIN} … ${END}`)
  writeFileSync(file, `${page.slice(0, begin)}${BEGIN}\n\n${figuresText(sections, all, pictures)}\n${page.slice(end)}`)
}

/** Markdown of everything measured. Machines are described, never named. */
export function figuresText(sections: readonly Section[], all: Published, pictures: string): string {
  const there = sections.flatMap(({ name, about }) => {
    const parts = shown(all[name] ?? {})
    return parts.length === 0 ? [] : [{ name, about, parts }]
  })
  const parts = there.flatMap(({ parts }) => parts)
  const usual = mostOften(parts.map(({ machine }) => described(machine)))
  const elsewhere = parts.some(({ machine }) => described(machine) !== usual)
  const picture = ({ pictures: drawn }: Part) => drawn.map(({ file, title }) => `![${title}](${pictures}/${file})`)
  return [
    ...(usual === undefined ? [] : [`${elsewhere ? 'Where nothing else is said, on' : 'All on'} ${usual}.`]),
    '## Goals',
    goalTable(parts.flatMap(({ figures }) => figures)),
    '## Figures',
    ...there.flatMap(({ name, about, parts }) => [
      `### ${name}: ${about}`,
      ...parts.flatMap(part => [
        `${when(part)}${described(part.machine) === usual ? '' : `, on ${described(part.machine)}`}`,
        markdownTable(part.figures),
        ...picture(part),
      ]),
    ]),
  ]
    .map(block => `${block}\n`)
    .join('\n')
}

/** The first of them where several are as frequent. */
function mostOften(texts: readonly string[]): string | undefined {
  const times = new Map<string, number>()
  for (const text of texts) times.set(text, (times.get(text) ?? 0) + 1)
  return [...times].sort(([, a], [, b]) => b - a)[0]?.[0]
}

function described({ cpu, cores, memoryBytes, kernel, node, natsServer, redis, pyarrow }: MachineFacts): string {
  const programs = { Node: node, 'nats-server': natsServer, Redis: redis, pyarrow }
  const there = Object.entries(programs).filter(([, version]) => version !== ABSENT)
  const versions = there.map(([name, version]) => `${name} ${version}`)
  return [
    `${cores} cores of ${cpu}`,
    `${short(memoryBytes / GIBI)} GiB of memory`,
    `Linux ${kernel}`,
    ...versions,
  ].join(', ')
}

function when({ at, seconds, machine }: Part): string {
  return `${at.slice(0, 10)}, commit ${machine.commit}, in ${seconds.toFixed(0)} s; ${short(machine.load)} processes wanted to run when it began`
}
