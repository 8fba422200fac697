/** What went wrong with a checkpoint. */
export type CheckpointFault =
  /** The trainer's bucket cannot be opened, e.g. because nothing is committed on chain. */
  | 'no-bucket'
  /** The trainer's bucket does not answer. */
  | 'unreachable'
  /** Nobody published this checkpoint, or not all of it is there yet. */
  | 'absent'
  /** What was published cannot be read or contradicts itself. */
  | 'malformed'
  /** A file of the manifest would land outside the checkpoint's folder. */
  | 'unsafe-path'
  /** Bytes that arrived are not those of the manifest. */
  | 'digest'
  /** The weights put together are not those the trainer hashed. */
  | 'weights-hash'
  /** A delta's predecessors do not lead to a checkpoint that can be had. */
  | 'chain'
  | 'disk-full'
  /** The cache's folder cannot be read or written. */
  | 'disk'
  /** The lock on the host's cache became another's. */
  | 'lock-lost'
  /** The process that puts weights together ended. */
  | 'assembly'

/** Why there is no checkpoint, and what to do next: 'later' (it can succeed another time), 'never' (not with what is published now). */
export class CheckpointError extends Error {
  readonly code: CheckpointFault
  readonly next: 'later' | 'never'
  constructor(code: CheckpointFault, message: string, next: 'later' | 'never', options?: ErrorOptions) {
    super(message, options)
    this.name = 'CheckpointError'
    this.code = code
    this.next = next
  }
}
