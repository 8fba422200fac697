/** Something the operator wrote is wrong: what, where, and what to do. Shown without a stack. */
export class ConfigError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'ConfigError'
  }
}
