import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { vectorChecks } from '../vectors/index.js'
import { runVectorFile } from '../vectors/run.js'

/** Failures shown per file: enough to see the kind, few enough to read. */
const SHOWN_FAILURES = 3

/**
 * `grail vectors DIR`: judges every .json file of the folder against this build and prints one line per file and a last
 * line `N passed, N failed`, counted in cases. Returns the exit code: 0 when everything passed, 1 for any failure, an
 * unknown or unreadable file, a file without cases, or a folder without files; 2 for a wrong call.
 */
export async function vectorsCommand(args: string[], out: (line: string) => void): Promise<number> {
  const [folder, ...rest] = args
  if (folder === undefined || rest.length > 0) {
    out('usage: grail vectors DIR')
    return 2
  }
  let names: string[]
  try {
    names = (await readdir(folder)).filter(name => name.endsWith('.json')).sort()
  } catch (error) {
    out(`cannot read the folder ${folder}: ${error instanceof Error ? error.message : String(error)}`)
    out('0 passed, 1 failed')
    return 1
  }
  if (names.length === 0) {
    out(`no .json files in ${folder}: nothing was judged`)
    out('0 passed, 1 failed')
    return 1
  }
  let passed = 0
  let failed = 0
  for (const name of names) {
    const result = await runVectorFile(join(folder, name), vectorChecks)
    passed += result.passed
    failed += result.total - result.passed
    out(`${name} ${result.passed}/${result.total}`)
    for (const failure of result.failures.slice(0, SHOWN_FAILURES)) out(`  ${failure}`)
    if (result.failures.length > SHOWN_FAILURES) out(`  … and ${result.failures.length - SHOWN_FAILURES} more`)
  }
  out(`${passed} passed, ${failed} failed`)
  return failed > 0 ? 1 : 0
}
