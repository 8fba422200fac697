import { type Block, extrinsicsRoot, headerHash, type Intervention, NO_PARENT, root } from './block.js'
import { execute } from './execute.js'
import type { Extrinsic } from './extrinsic.js'
import type { Runtime } from './runtime.js'
import type { State } from './state.js'

/** Blocks whose storage is kept, as a pruned node does; a reorg is never deeper. */
const STATES_KEPT = 256

/** Blocks whose headers are kept: a bound for chains that run for weeks, some 15 MB. */
const HEADERS_KEPT = 20_000

export interface LedgerEvents {
  /** A new best block is announced; `enacted` are new in the best chain, the best one last. */
  best(block: Block, enacted: readonly Block[]): void
  final(block: Block): void
}

/** The block tree: a best chain, finality that follows `finalityLag` blocks behind, forks on demand. */
export interface Ledger {
  readonly genesisHash: string
  best(): Block
  finalized(): Block
  byNumber(number: number): Block | undefined
  byHash(hash: string): Block | undefined
  build(work: { interventions: Intervention[]; extrinsics: Extrinsic[]; timestampMs: number }): Block
  /** Takes the newest `depth` blocks away. Throws when one of them is final. The caller builds the fork. */
  retract(depth: number): Block[]
  /** Tells the best block to the outside, once a fork is as long as it shall be. */
  announce(enacted: readonly Block[]): void
  setFinalityLag(blocks: number): void
}

export interface LedgerOptions {
  runtime: Runtime
  genesisState: State
  /** Decides all hashes, together with what happens. */
  seed: string
  /** Number of the first block after genesis; those between do not exist. */
  startBlock: number
  finalityLag: number
  /** Blocks whose storage is kept; default 256. */
  statesKept?: number
  /** Blocks whose headers are kept; default 20,000. */
  headersKept?: number
  events: LedgerEvents
}

export function createLedger(options: LedgerOptions): Ledger {
  const { events, seed, startBlock } = options
  const statesKept = options.statesKept ?? STATES_KEPT
  const headersKept = options.headersKept ?? HEADERS_KEPT
  let lag = options.finalityLag
  let forks = 0
  const stateRoot = root('genesis', seed)
  const genesisHeader = { number: 0, parentHash: NO_PARENT, stateRoot, extrinsicsRoot: extrinsicsRoot([]) }
  const genesis: Block = {
    ...genesisHeader,
    hash: headerHash(genesisHeader),
    timestampMs: 0,
    extrinsics: [],
    interventions: [],
    runtime: options.runtime,
    state: options.genesisState,
  }
  let best = genesis
  let finalized = genesis
  const canonical = new Map<number, Block>([[0, genesis]])
  const known = new Map<string, Block>([[genesis.hash, genesis]])
  /** Blocks of all forks whose storage is held, oldest first. */
  const withState: Block[] = [genesis]

  function prune(): void {
    // the map is in the order of insertion, so the oldest come first and the walk ends early
    for (const block of known.values()) {
      if (block.number > best.number - headersKept) break
      if (block === genesis) continue
      known.delete(block.hash)
      if (canonical.get(block.number) === block) canonical.delete(block.number)
    }
    for (const old of withState.splice(0, Math.max(0, withState.length - statesKept))) old.state = undefined
  }

  function finalize(): void {
    while (best.number - lag > finalized.number) {
      const next = canonical.get(Math.max(finalized.number + 1, startBlock))
      if (!next || next.number > best.number - lag) return
      finalized = next
      events.final(next)
    }
  }

  return {
    genesisHash: genesis.hash,
    best: () => best,
    finalized: () => finalized,
    byNumber: number => canonical.get(number),
    byHash: hash => known.get(hash),
    build: ({ interventions, extrinsics, timestampMs }) => {
      const parent = best
      if (!parent.state) throw new Error('the best block has no state')
      const number = parent === genesis ? startBlock : parent.number + 1
      const { state, runtime } = execute({
        runtime: parent.runtime,
        parentState: parent.state,
        parentHash: parent.hash,
        number,
        timestampMs,
        interventions,
        extrinsics,
      })
      const header = {
        number,
        parentHash: parent.hash,
        stateRoot: root(seed, parent.hash, timestampMs, forks),
        extrinsicsRoot: extrinsicsRoot(extrinsics),
      }
      best = { ...header, hash: headerHash(header), timestampMs, extrinsics, interventions, runtime, state }
      canonical.set(number, best)
      known.set(best.hash, best)
      withState.push(best)
      prune()
      return best
    },
    retract: depth => {
      if (best.number - depth < finalized.number || depth >= statesKept) {
        throw new RangeError(
          `cannot undo ${depth} blocks: ${best.number - finalized.number} are not final (finality lag ${lag})`,
        )
      }
      forks++
      const retracted: Block[] = []
      for (let i = 0; i < depth; i++) {
        retracted.push(best)
        canonical.delete(best.number)
        best = known.get(best.parentHash) as Block
      }
      return retracted.reverse()
    },
    announce: enacted => {
      events.best(best, enacted)
      finalize()
    },
    setFinalityLag: blocks => {
      lag = blocks
      finalize()
    },
  }
}
