/** A vector file of the reference: what its functions returned, case by case. */
export interface VectorFile {
  /** File name without folder, e.g. 'prf.json'. */
  file: string
  /** Folder it was read from: sample Parquet files lie beside it. */
  folder: string
  // biome-ignore lint/suspicious/noExplicitAny: every vector file has cases of its own shape; each check reads the fields it names
  cases: any[]
  // biome-ignore lint/suspicious/noExplicitAny: file-level facts (checksums, shared payloads), likewise
  [fact: string]: any
}

/**
 * Judges case `index` of a file against this build. Returns undefined when it agrees, else one line: what was expected
 * and what came out. A thrown error counts as a failure.
 */
export type Check = (file: VectorFile, index: number) => string | undefined | Promise<string | undefined>

/** Checks by file name. Every topic exports one such table; supervisor/vectors/index.ts joins them. */
export type Checks = Record<string, Check>

/** undefined when the two are equal as JSON, else a line that says how they differ. */
export function same(actual: unknown, expected: unknown): string | undefined {
  const a = JSON.stringify(actual)
  const e = JSON.stringify(expected)
  if (a === e) return undefined
  const cut = (text: string | undefined) =>
    text === undefined ? 'undefined' : text.length > 160 ? `${text.slice(0, 160)}…` : text
  return `expected ${cut(e)}, got ${cut(a)}`
}
