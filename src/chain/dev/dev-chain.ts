import { createAuthority } from './authority.js'
import type { Block } from './block.js'
import { commitment, deregistration, devMethods, registration, upgrade } from './dev-rpc.js'
import { feed } from './feed.js'
import { devMetadata } from './metadata.js'
import { type Method, nodeMethods } from './node-rpc.js'
import { readRuntime } from './runtime.js'
import { serve } from './server.js'

export interface DevChainOptions {
  /** Default 127.0.0.1. */
  host?: string
  /** Default 0: any free port. */
  port?: number
  /** The one subnet; default 81. */
  netuid?: number
  /** Milliseconds between blocks; 0 (the default) = a block only on demand. */
  blockMs?: number
  /** Whether the clock builds no blocks from the start on, until `stall(false)`; default false. */
  stalled?: boolean
  /** Best minus final, blocks; default 2. */
  finalityLag?: number
  /** Number of the best block at the start; default 1. Only the last few blocks before it exist. */
  startBlock?: number
  /** Decides the genesis hash, and with the timestamps all hashes; default 'dev'. */
  seed?: string
  /** ss58 addresses that are registered from the first block on, uid 0 first. GRAIL's trainer is uid 0. */
  register?: readonly string[]
  /** Commitments that stand from the first block on: text of at most 128 bytes by ss58 address. */
  commitments?: Readonly<Record<string, string>>
  /** SCALE metadata of a real subtensor runtime, to be served instead of the small one. */
  metadata?: Uint8Array
  /** Default 424. */
  specVersion?: number
  /** Told every best block that is announced, in a turn of its own: it may do anything to the chain. */
  onBest?: (head: DevHead) => void
  /** Unix ms; default Date.now. */
  now?: () => number
}

/** What a block is to the outside. */
export interface DevHead {
  number: number
  hash: string
  timestampMs: number
}

/** A chain in this process that @polkadot/api takes for a subtensor node. Its controls are also RPC methods `dev_…`. */
export interface DevChain {
  url: string
  port: number
  genesisHash: string
  head(): DevHead
  finalized(): DevHead
  /** Hash of a block of the best chain. */
  hash(number: number): string | undefined
  /** Builds blocks now; only the last is announced. */
  newBlock(count?: number): DevHead
  /** Replaces the newest `depth` blocks by depth + 1 others. Throws a RangeError when one of them is final. */
  reorg(depth: number): DevHead
  /** The clock builds no blocks while stalled. */
  stall(on: boolean): void
  setBlockTime(ms: number): void
  setFinalityLag(blocks: number): void
  /** Announces only every n-th block as best head. */
  announceEvery(blocks: number): void
  /** All present connections stay open and fall silent for good, as a half-open link does. */
  silence(): void
  /** These four take effect in the next block. */
  register(ss58: string, coldkey?: string): void
  deregister(ss58: string): void
  commit(ss58: string, text: string): void
  upgrade(specVersion?: number): void
  close(): Promise<void>
}

/** Starts a dev chain; it listens when the promise resolves. Memory is bounded: storage of 256 blocks, headers of 20,000. */
export async function startDevChain(options: DevChainOptions = {}): Promise<DevChain> {
  const netuid = options.netuid ?? 81
  const best = feed<Block>()
  const final = feed<Block>()
  const authority = createAuthority({
    runtime: readRuntime(options.metadata ?? devMetadata(), options.specVersion ?? 424),
    netuid,
    seed: options.seed ?? 'dev',
    startBlock: options.startBlock ?? 1,
    finalityLag: options.finalityLag ?? 2,
    blockMs: options.blockMs ?? 0,
    stalled: options.stalled ?? false,
    now: options.now ?? Date.now,
    events: { best: best.tell, final: final.tell },
  })
  for (const ss58 of options.register ?? []) authority.intervene(registration(netuid, ss58))
  for (const [ss58, text] of Object.entries(options.commitments ?? {})) {
    authority.intervene(commitment(netuid, ss58, text))
  }
  authority.begin()
  const { onBest } = options
  if (onBest) best.listen(block => setImmediate(() => onBest(headOf(block))))

  const ownMetadata = options.metadata === undefined
  let methods: Record<string, Method> = {}
  try {
    const server = await serve({ host: options.host ?? '127.0.0.1', port: options.port ?? 0 }, () => methods)
    methods = {
      ...nodeMethods({ authority, netuid, best, final }),
      ...devMethods({ authority, netuid, ownMetadata, silenceOthers: server.silenceOthers }),
    }
    const { ledger } = authority
    return {
      url: `ws://${options.host ?? '127.0.0.1'}:${server.port}`,
      port: server.port,
      genesisHash: ledger.genesisHash,
      head: () => headOf(ledger.best()),
      finalized: () => headOf(ledger.finalized()),
      hash: number => ledger.byNumber(number)?.hash,
      newBlock: count => headOf(authority.newBlock(count)),
      reorg: depth => headOf(authority.reorg(depth)),
      stall: authority.stall,
      setBlockTime: authority.setBlockTime,
      setFinalityLag: ledger.setFinalityLag,
      announceEvery: authority.announceEvery,
      silence: () => server.silenceOthers(undefined),
      register: (ss58, coldkey) => authority.intervene(registration(netuid, ss58, coldkey)),
      deregister: ss58 => authority.intervene(deregistration(netuid, ss58)),
      commit: (ss58, text) => authority.intervene(commitment(netuid, ss58, text)),
      upgrade: specVersion => authority.intervene(upgrade(ownMetadata, specVersion)),
      close: async () => {
        authority.stop()
        await server.close()
      },
    }
  } catch (error) {
    authority.stop()
    throw error
  }
}

function headOf({ number, hash, timestampMs }: Block): DevHead {
  return { number, hash, timestampMs }
}
