/** A block as the fleet needs it. */
export interface Head {
  number: number
  /** Lower-case hex with 0x. */
  hash: string
  /** Timestamp.Now at the block, unix ms. */
  timestampMs: number
}

/** What the chain tells, as tagged events. Best heads may skip numbers and go back on a reorg. */
export type ChainEvent =
  | { kind: 'up'; endpoint: string }
  | { kind: 'down'; endpoint: string; why: string }
  | { kind: 'best'; head: Head }
  | { kind: 'final'; number: number; hash: string }
  | { kind: 'stalled'; sinceMs: number }

/** The chain seen from a miner; read side. */
export interface Chain {
  /** Events from now on; the first one after 'up' is the current best head. Ends when `signal` aborts. */
  events(signal: AbortSignal): AsyncIterable<ChainEvent>
  /** Hash of block `number` on the best chain; undefined when unknown. */
  hash(number: number, signal: AbortSignal): Promise<string | undefined>
  /** Timestamp of the block, unix ms; undefined when unknown. */
  timestamp(number: number, signal: AbortSignal): Promise<number | undefined>
  /** Number of the newest final block. */
  finalized(signal: AbortSignal): Promise<number>
  /** Hash of block `number` once the node that is asked holds it for final itself; undefined before. It never changes. */
  finalHash(number: number, signal: AbortSignal): Promise<string | undefined>
  close(): Promise<void>
}
