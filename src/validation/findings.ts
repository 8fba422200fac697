import type { Finding } from './verdict.js'

/** Enough to see the kind of fault, few enough to read. */
const KEPT = 50

/** Collects findings: the first ones whole, all of them counted. */
export class Findings {
  readonly kept: Finding[] = []
  total = 0

  add(finding: Finding): void {
    this.total++
    if (this.kept.length < KEPT) this.kept.push(finding)
  }
}

/** A value for people: short, and told apart from text that looks like it. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (value instanceof Uint8Array) return `${value.length} bytes`
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > 160 ? `${text.slice(0, 157)}…` : text
}
