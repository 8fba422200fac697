import { type Log, systemClock } from '../actors/actor.js'
import { ChainError } from '../src/chain/chain-error.js'
import { commit } from '../src/chain/commit.js'
import { openChain } from '../src/chain/polkadot.js'
import { readCommitmentText } from '../src/protocol/read-credentials.js'
import type { Hotkey } from '../src/wallet/hotkey.js'
import type { LoadedConfig } from './config/load.js'
import { readCredentials } from './config/read-credentials.js'

/** A commit that could not be made is tried again after this, ms: an hour has many windows, and the chain is asked for little. */
const AGAIN_MS = 300_000

/**
 * Sees to it that the bucket's read credentials are on chain: compared at the start, committed only when the 128 bytes
 * differ, read back. Runs beside the aggregator, whose host alone has the hotkey; ends when it is done, when it can never
 * be, or when the signal aborts. Opens a connection of its own and closes it.
 * @throws ConfigError when the credentials are incomplete
 */
export async function keepCommitment(
  loaded: LoadedConfig,
  hotkey: Hotkey,
  log: Log,
  signal: AbortSignal,
  { againMs = AGAIN_MS }: { againMs?: number } = {},
): Promise<void> {
  const { chain: where } = loaded.config
  const text = readCommitmentText(readCredentials(loaded))
  const chain = openChain({
    endpoints: where.endpoints,
    ...(where.genesis === '' ? {} : { genesis: where.genesis }),
    stallMs: where.stall_ms,
  })
  try {
    while (!signal.aborted) {
      try {
        const { outcome, uid, block } = await commit({
          link: aborted => chain.link(aborted),
          netuid: where.netuid,
          signer: hotkey,
          text,
          signal,
        })
        log.info({ outcome, uid, block }, 'read credentials are on chain; validators look again within 10 minutes')
        return
      } catch (error) {
        if (signal.aborted) return
        // A hotkey without a place may get one while the fleet runs: the alarm has told its operator how.
        const never = error instanceof ChainError && error.next === 'never' && error.code !== 'not-registered'
        log.error({ err: error }, 'ALARM: read credentials are not on chain: nobody can read this bucket')
        if (never) return
        await systemClock.sleep(againMs, signal)
      }
    }
  } finally {
    await chain.close()
  }
}
