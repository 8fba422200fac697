import { readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Checks, VectorFile } from './check.js'

/** What judging one vector file came to. */
export interface VectorResult {
  /** File name without folder. */
  name: string
  passed: number
  total: number
  /** One line per failed case, or one line saying why the file could not be judged. */
  failures: string[]
}

/**
 * Judges every case of a vector file. A file that cannot be read, that no check knows, or that has no cases comes back as
 * one failure of one.
 */
export async function runVectorFile(path: string, checks: Checks): Promise<VectorResult> {
  const name = basename(path)
  const refused = (why: string): VectorResult => ({ name, passed: 0, total: 1, failures: [why] })
  let file: VectorFile
  try {
    file = await readVectorFile(path)
  } catch (error) {
    return refused(`cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
  const check = Object.hasOwn(checks, name) ? checks[name] : undefined
  if (!check) return refused('no check knows a file of this name')
  if (!Array.isArray(file.cases) || file.cases.length === 0) return refused('the file has no cases')
  const failures: string[] = []
  for (let index = 0; index < file.cases.length; index++) {
    const failure = await outcome(() => check(file, index))
    if (failure !== undefined) failures.push(`case ${index}${label(file.cases[index])}: ${failure}`)
  }
  return { name, passed: file.cases.length - failures.length, total: file.cases.length, failures }
}

async function readVectorFile(path: string): Promise<VectorFile> {
  const text = await readFile(path, 'utf8')
  const parsed: unknown = JSON.parse(text)
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw new Error('not a JSON object')
  return { cases: [], ...parsed, file: basename(path), folder: dirname(path), text }
}

async function outcome(run: () => string | undefined | Promise<string | undefined>): Promise<string | undefined> {
  try {
    return await run()
  } catch (error) {
    return `threw ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`
  }
}

function label(testCase: { name?: unknown; fn?: unknown }): string {
  const name = testCase?.name ?? testCase?.fn
  return typeof name === 'string' ? ` (${name})` : ''
}
