import type { PolkadotChain } from '../../src/chain/polkadot.js'
import type { LoadedConfig } from '../config/load.js'
import type { CommandIo } from './io.js'

/** What a verb of `grail chain` works with. */
export interface ChainVerb {
  loaded: LoadedConfig
  chain: PolkadotChain
  io: CommandIo
  json: boolean
  dryRun: boolean
  /** Asked by flag to act without a question. */
  yes: boolean
  /** Address to look up instead of the wallet's. */
  hotkey: string | undefined
  signal: AbortSignal
}
