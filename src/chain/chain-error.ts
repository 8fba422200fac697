/** What must happen next: 'later' (the same call may succeed), 'never' (it cannot before something is changed), 'unknown' (it may have been done: look before repeating). */
export type ChainNext = 'later' | 'never' | 'unknown'

/** Why a call to the chain failed. */
export type ChainCode =
  | 'not-connected'
  | 'connection'
  | 'timeout'
  | 'rpc'
  | 'other-chain'
  | 'not-registered'
  | 'space-limit'
  | 'dispatch'
  | 'rejected'
  | 'not-included'
  | 'read-back'
  | 'closed'

export class ChainError extends Error {
  readonly code: ChainCode
  readonly next: ChainNext
  constructor(code: ChainCode, message: string, next: ChainNext, options: { cause?: unknown } = {}) {
    super(message, options)
    this.name = 'ChainError'
    this.code = code
    this.next = next
  }
}
