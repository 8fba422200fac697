import { NOMINAL_BLOCK_MS } from '../../window/block.js'
import { type Block, type Intervention, root } from './block.js'
import { nonceIn } from './execute.js'
import { checkExtrinsic, type Extrinsic } from './extrinsic.js'
import { createLedger, type Ledger, type LedgerEvents } from './ledger.js'
import { createPool, type Pool, type Watcher } from './pool.js'
import type { Runtime } from './runtime.js'
import type { State } from './state.js'
import { createSubnet } from './subnet.js'

/** The one block producer of a dev chain: pool and ledger together, and the clock that drives them. */
export interface Authority {
  readonly ledger: Ledger
  /** Builds the blocks up to `startBlock`, enough that some are final, dated back; then the clock takes over. */
  begin(): void
  /** Builds `count` blocks now; only the last is announced as best. */
  newBlock(count?: number): Block
  /** Replaces the newest `depth` blocks by `depth + 1` others. Throws when one of them is final. */
  reorg(depth: number): Block
  /** No block is built by the clock while stalled. */
  stall(on: boolean): void
  /** Milliseconds between blocks; 0 = only on demand. */
  setBlockTime(ms: number): void
  /** Only every n-th block is announced as best head; 1 = all. */
  announceEvery(blocks: number): void
  /** Done at the start of the next block. */
  intervene(intervention: Intervention): void
  /** Checks an extrinsic and puts it into the pool; returns its hash. Throws RpcError. */
  submit(bytes: string, watch?: Watcher): string
  unwatch(watch: Watcher): void
  /** The account's next nonce, pool included; the account is 32 bytes as hex. */
  nextNonce(account: string): number
  stop(): void
}

export interface AuthorityOptions {
  runtime: Runtime
  netuid: number
  seed: string
  /** Number of the best block after `begin`. */
  startBlock: number
  finalityLag: number
  blockMs: number
  stalled: boolean
  /** Unix ms: timestamps of blocks. */
  now: () => number
  events: LedgerEvents
}

export function createAuthority(options: AuthorityOptions): Authority {
  const { runtime, now, events } = options
  const genesisState: State = new Map()
  createSubnet(runtime, genesisState, options.netuid)
  const firstBlock = Math.max(1, options.startBlock - options.finalityLag)
  const pool: Pool = createPool()
  const ledger = createLedger({
    runtime,
    genesisState,
    seed: options.seed,
    startBlock: firstBlock,
    finalityLag: options.finalityLag,
    events: {
      best: (block, enacted) => {
        for (const added of enacted) pool.included(added)
        events.best(block, enacted)
      },
      final: block => {
        pool.finalized(block)
        events.final(block)
      },
    },
  })
  let waiting: Intervention[] = []
  let unannounced: Block[] = []
  let every = 1
  let stalled = options.stalled
  let blockMs = options.blockMs
  let timer: NodeJS.Timeout | undefined

  const nonceOf = (account: string) => {
    const { runtime, state } = ledger.best()
    return state ? nonceIn(runtime, state, account) : 0
  }

  function build(timestampMs: number, interventions: Intervention[]): Block {
    const { number, runtime, timestampMs: parentMs } = ledger.best()
    const extrinsics: Extrinsic[] = pool.take(number + 1, runtime.specVersion, nonceOf)
    return ledger.build({ interventions, extrinsics, timestampMs: Math.max(timestampMs, parentMs + 1) })
  }

  function newBlock(count = 1): Block {
    const built: Block[] = []
    for (let i = 0; i < count; i++) {
      built.push(build(now(), waiting))
      waiting = []
    }
    unannounced.push(...built)
    if (count > 1 || ledger.best().number % every === 0) {
      const enacted = unannounced
      unannounced = []
      ledger.announce(enacted)
    }
    return ledger.best()
  }

  function schedule(): void {
    clearInterval(timer)
    timer = blockMs > 0 ? setInterval(() => stalled || newBlock(), blockMs) : undefined
  }

  return {
    ledger,
    begin: () => {
      const spacing = blockMs || NOMINAL_BLOCK_MS
      for (let number = firstBlock; number <= options.startBlock; number++) {
        unannounced.push(build(now() - (options.startBlock - number) * spacing, waiting))
        waiting = []
      }
      ledger.announce(unannounced)
      unannounced = []
      schedule()
    },
    newBlock,
    reorg: depth => {
      const retracted = ledger.retract(depth)
      for (const old of retracted) pool.retracted(old)
      const enacted = unannounced.filter(block => ledger.byNumber(block.number) === block)
      unannounced = []
      for (const old of retracted) enacted.push(build(old.timestampMs, [...old.interventions]))
      enacted.push(build(now(), waiting))
      waiting = []
      ledger.announce(enacted)
      return ledger.best()
    },
    stall: on => {
      stalled = on
    },
    setBlockTime: ms => {
      blockMs = ms
      schedule()
    },
    announceEvery: blocks => {
      every = blocks
    },
    intervene: intervention => {
      waiting.push(intervention)
    },
    submit: (bytes, watch) => {
      const best = ledger.best()
      const extrinsic = checkExtrinsic(best.runtime, bytes, {
        genesisHash: ledger.genesisHash,
        best: best.number,
        hashOf: number => ledger.byNumber(number)?.hash,
        nonceOf,
      })
      pool.add(extrinsic, watch)
      return extrinsic.hash
    },
    unwatch: watch => pool.unwatch(watch),
    nextNonce: account => {
      const nonce = nonceOf(account)
      return nonce + pool.waitingFrom(account, nonce)
    },
    stop: () => clearInterval(timer),
  }
}

/** A public key that belongs to nobody, for a neuron whose coldkey does not matter. */
export function nobody(name: string): string {
  return root('nobody', name)
}
