/** Python's name of the error a case expects → the error this build throws for the same reason. */
const MATCHING: Readonly<Record<string, readonly ErrorConstructor[]>> = {
  TypeError: [TypeError],
}
const OTHERWISE: readonly ErrorConstructor[] = [RangeError, SyntaxError]

/**
 * undefined when `run` throws what answers to Python's `error`, else a line. A refusal of ours is a RangeError (bad value),
 * a SyntaxError (bad text) or, for Python's TypeError alone, a TypeError: a slip of the program never counts as a refusal.
 */
export function expectError(error: string, run: () => unknown): string | undefined {
  try {
    const value = run()
    return `expected ${error}, got ${String(JSON.stringify(value)).slice(0, 160)}`
  } catch (thrown) {
    const accepted = [...(MATCHING[error] ?? []), ...OTHERWISE]
    if (accepted.some(kind => thrown instanceof kind)) return undefined
    return `expected ${error}, got ${String(thrown)}`
  }
}

/** Runs the comparison, or expects the error where the case names one. */
export function compareOrError(
  // biome-ignore lint/suspicious/noExplicitAny: a case of a vector file
  testCase: any,
  run: () => unknown,
  compare: () => string | undefined,
): string | undefined {
  return typeof testCase.error === 'string' ? expectError(testCase.error, run) : compare()
}
