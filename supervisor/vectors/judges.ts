import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { startCodeJudges } from '../../src/environment/code-judge.js'
import type { JudgePool } from '../../src/environment/judge/pool.js'
import type { SymbolicJudge } from '../../src/environment/math-answer.js'
import { startSymbolicJudge } from '../../src/environment/symbolic-judge.js'
import { packageRoot } from '../../src/package-root.js'

/** The Python that judges: the one of the project's own set-up where there is one. */
const python = [process.env.GRAIL_PYTHON, join(packageRoot, '.venv', 'bin', 'python')].find(
  path => path !== undefined && existsSync(path),
)

let judges: Promise<JudgePool> | undefined
/** Started by the first case that needs them; idle judges end with the program. */
export function codeJudges(): Promise<JudgePool> {
  judges ??= startCodeJudges(python ?? 'python3')
  return judges
}

let symbolic: Promise<SymbolicJudge> | undefined
/** Likewise. Cases whose answers take sympy fail where Python has none. */
export function symbolicJudge(): Promise<SymbolicJudge> {
  symbolic ??= startSymbolicJudge(python ?? 'python3', () => {}).then(({ judge }) => judge)
  return symbolic
}
