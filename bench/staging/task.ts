/** What workers that stage groups are told. */
export interface StagerTask {
  way: 'nats' | 'redis'
  server: string
  port: number
  window: number
  /** Indices of each worker. */
  workers: number[][]
  /** Of a staged group. */
  bytes: number
  /** From one group of a worker to its next, ms; 0: as fast as they can. */
  paceMs: number
}

/** Redis' list of what is staged. */
export const REDIS_QUEUE = 'bench:staged'
