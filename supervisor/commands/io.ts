/** What a command of `grail` may use of the terminal and the environment; tests give their own. */
export interface CommandIo {
  /** One line to standard output: the answer. */
  out(line: string): void
  /** One line to standard error: what went wrong, or what goes on. */
  err(line: string): void
  env: Readonly<Record<string, string | undefined>>
  /** Asks a yes-or-no question; false without a terminal. */
  ask(question: string): Promise<boolean>
}
