/** What is wrong with a hotkey file; the message of the error says how to mend it. */
export type WalletProblem =
  | 'absent'
  | 'unreadable'
  | 'permissions'
  | 'broken'
  | 'public-only'
  | 'mismatch'
  | 'encrypted'
  | 'legacy-encryption'
  | 'password'
  | 'decryption'
  | 'exists'
  | 'name'

/** A wallet that cannot be used. Its message names the file and the remedy, and never holds a secret; retrying without a change cannot help. */
export class WalletError extends Error {
  readonly problem: WalletProblem
  constructor(problem: WalletProblem, message: string, options: { cause?: unknown } = {}) {
    super(message, options)
    this.name = 'WalletError'
    this.problem = problem
  }
}
