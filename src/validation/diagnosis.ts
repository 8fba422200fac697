import type { Profile } from '../protocol/profile.js'
import type { Inference } from './inference.js'

/** Rows kept for comparison: a window counts for 5,000 rows, a large file holds some 30,000. */
const MAX_REMEMBERED = 200_000
/** Examples named in one note. */
const EXAMPLES = 3

interface Seen {
  row: number
  group: string
  index: string
  nonce: string
}

/** Looks at all rows for what the validator's words do not explain: where a duplicate comes from, holes, order, mixed checkpoints. */
export class Diagnosis {
  readonly #profile: Profile
  readonly #byNonce = new Map<string, Seen>()
  readonly #groups = new Map<string, { first: number; last: number; rows: number }>()
  readonly #checkpoints = new Map<string, number>()
  readonly #duplicates: { first: Seen; second: Seen }[] = []
  #duplicateCount = 0
  #offFormula = 0
  #rows = 0

  constructor(profile: Profile) {
    this.#profile = profile
  }

  /** The rows' groups as text, with how many rows each has. */
  get groups(): ReadonlyMap<string, { first: number; last: number; rows: number }> {
    return this.#groups
  }

  row(row: number, inference: Inference): void {
    this.#rows++
    const group = String(inference.rolloutGroup)
    const known = this.#groups.get(group)
    if (known) {
      known.last = row
      known.rows++
    } else this.#groups.set(group, { first: row, last: row, rows: 1 })
    const checkpoint = String(inference.checkpointWindow)
    this.#checkpoints.set(checkpoint, (this.#checkpoints.get(checkpoint) ?? 0) + 1)
    const seen: Seen = { row, group, index: String(inference.rolloutIndex), nonce: String(inference.nonce) }
    if (!this.#followsFormula(seen)) this.#offFormula++
    const first = this.#byNonce.get(seen.nonce)
    if (first) {
      this.#duplicateCount++
      if (this.#duplicates.length < EXAMPLES) this.#duplicates.push({ first, second: seen })
    } else if (this.#byNonce.size < MAX_REMEMBERED) this.#byNonce.set(seen.nonce, seen)
  }

  notes(header: { inferenceCount: number; rehearsal: boolean }): string[] {
    return [
      ...(header.rehearsal ? ['the file is marked as a rehearsal: no bucket that validators read may hold it'] : []),
      ...this.#duplicateNotes(),
      ...this.#holeNotes(),
      ...this.#orderNotes(),
      ...this.#checkpointNotes(),
      ...(this.#duplicateCount === 0 && this.#offFormula > 0
        ? [
            `${this.#offFormula} of ${this.#rows} nonces are not group · ${this.#profile.nonceStride} + rollout index (the validator does not ask)`,
          ]
        : []),
      ...(header.inferenceCount === this.#rows
        ? []
        : [`the footer counts ${header.inferenceCount} rows, the file has ${this.#rows} (the validator does not ask)`]),
    ]
  }

  #followsFormula({ group, index, nonce }: Seen): boolean {
    return Number(nonce) === Number(group) * this.#profile.nonceStride + Number(index)
  }

  #duplicateNotes(): string[] {
    const notes = this.#duplicates.map(({ first, second }) => {
      const where = `nonce ${second.nonce} is in row ${first.row} (group ${first.group}, rollout ${first.index}) and in row ${second.row} (group ${second.group}, rollout ${second.index})`
      if (first.group === second.group && first.index === second.index)
        return `${where}: the same rollout twice, so stale rows were written again`
      if (this.#followsFormula(first) && this.#followsFormula(second))
        return `${where}: the formula group · ${this.#profile.nonceStride} + rollout index collides, a rollout index is too large`
      return `${where}: at least one does not follow the formula group · ${this.#profile.nonceStride} + rollout index, so files of different strides or stale rows were mixed`
    })
    const more = this.#duplicateCount - notes.length
    return more > 0 ? [...notes, `${more} more rows repeat a nonce`] : notes
  }

  #holeNotes(): string[] {
    const indices = [...this.#groups.keys()].map(Number)
    if (indices.length === 0 || !indices.every(Number.isSafeInteger)) return []
    const last = indices.reduce((most, index) => Math.max(most, index), 0)
    const present = new Set(indices)
    const missing: number[] = []
    let count = 0
    for (let index = 0; index <= last && count < MAX_REMEMBERED; index++) {
      if (present.has(index)) continue
      count++
      if (missing.length < EXAMPLES) missing.push(index)
    }
    if (count === 0) return []
    const effect = this.#profile.contiguousGroups
      ? 'profile needs them without holes: seeds of later groups will not match'
      : 'allowed'
    return [`${count} problem indices below ${last} are missing, first ${missing.join(', ')} (${effect})`]
  }

  #orderNotes(): string[] {
    const groups = [...this.#groups].map(([group, place]) => ({ group: Number(group), ...place }))
    const interleaved = groups.filter(({ first, last, rows }) => last - first + 1 !== rows).length
    const descending = groups.filter(({ group }, i) => i > 0 && group < (groups[i - 1]?.group ?? group)).length
    return [
      ...(interleaved > 0 ? [`the rows of ${interleaved} groups are not together (allowed)`] : []),
      ...(descending > 0 ? [`${descending} groups stand behind a higher one (allowed)`] : []),
    ]
  }

  #checkpointNotes(): string[] {
    if (this.#checkpoints.size < 2) return []
    const list = [...this.#checkpoints].slice(0, EXAMPLES).map(([window, rows]) => `${window} (${rows} rows)`)
    return [`rows of ${this.#checkpoints.size} different checkpoints: ${list.join(', ')}`]
  }
}
