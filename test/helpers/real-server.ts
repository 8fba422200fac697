/** A generation server of the operator's that tests may start, with what it needs beside the arguments of the engine. */
export interface RealServer {
  /** As `engine.program` of the inventory. */
  program: string
  extraArgs: string[]
  env: Record<string, string>
}

/** From a start to the first answer of a real server on a CPU, ms: it imports torch in three processes. */
export const REAL_START_MS = 400_000

/** Why the tests of the real server are skipped. */
export function realServerAbsent(name: 'sglang' | 'vllm'): string {
  const variable = `TEST_${name.toUpperCase()}`
  return (
    `${variable} is not set: name the virtual environment of a ${name} server there, and what it needs on this machine ` +
    `in ${variable}_ARGS (separated by blanks); the rest of the environment is handed on to it`
  )
}

/** The server that the environment names, or undefined. */
export function realServer(name: 'sglang' | 'vllm'): RealServer | undefined {
  const variable = `TEST_${name.toUpperCase()}`
  const program = process.env[variable]
  if (program === undefined || program === '') return undefined
  const extraArgs = (process.env[`${variable}_ARGS`] ?? '').split(' ').filter(one => one !== '')
  return { program, extraArgs, env: process.env as Record<string, string> }
}
