import { type ClaimEntry, claims } from '../../nats/index.js'
import { claimsOf, decodeClaim } from '../../src/window/claim.js'
import type { ActorParts } from '../actor.js'
import { emptyLedger, type Ledger } from './ledger.js'

/** Ledgers kept: the window being mined, the one being verified, their epochs, and the last ones' tails. */
const LEDGERS_KEPT = 24

/** The ledgers of all windows the journal tells of, and the claims of those that are open. */
export interface Ledgers {
  /** The ledger of a window and epoch; an empty one when nothing was said about it. */
  of(window: number, epoch: number): Ledger
  /** Newest ledger of a window; undefined when there is none. */
  newestOf(window: number): Ledger | undefined
  all(): Ledger[]
  /** Takes the window's claims into its ledger as they are made. Twice is harmless. */
  followClaims(ledger: Ledger): void
  unfollowClaims(ledger: Ledger): void
  close(): void
}

export function keepLedgers({ broker, log }: ActorParts, signal: AbortSignal): Ledgers {
  const ledgers = new Map<string, Ledger>()
  const following = new Map<string, AbortController>()
  const keyOf = ({ window, epoch }: { window: number; epoch: number }) => `${window}.${epoch}`
  const unfollow = (key: string) => {
    following.get(key)?.abort()
    following.delete(key)
  }
  return {
    of(window, epoch) {
      const key = keyOf({ window, epoch })
      const known = ledgers.get(key)
      if (known) return known
      const ledger = emptyLedger(window, epoch)
      ledgers.set(key, ledger)
      for (const old of [...ledgers.keys()].slice(0, -LEDGERS_KEPT)) {
        unfollow(old)
        ledgers.delete(old)
      }
      return ledger
    },
    newestOf(window) {
      let found: Ledger | undefined
      for (const ledger of ledgers.values())
        if (ledger.window === window && (!found || ledger.epoch > found.epoch)) found = ledger
      return found
    },
    all: () => [...ledgers.values()],
    followClaims(ledger) {
      const key = keyOf(ledger)
      if (following.has(key)) return
      const end = new AbortController()
      following.set(key, end)
      const onClaim = ({ index, value, timeMs }: ClaimEntry) => {
        try {
          ledger.claims.set(index, { ...decodeClaim(value), index, storedMs: timeMs })
        } catch (error) {
          log.error({ window: ledger.window, index, err: error }, 'a claim cannot be read: taken for an orphan')
          ledger.claims.set(index, { generator: '', boot: '', checkpointWindow: 0, atMs: 0, index, storedMs: timeMs })
        }
      }
      claims(broker, claimsOf(ledger.window, ledger.epoch), {
        signal: AbortSignal.any([signal, end.signal]),
        onClaim,
      }).done.catch(error => {
        if (signal.aborted || end.signal.aborted) return
        // The bucket went away under an open window: whoever dropped it wanted the window gone.
        log.error({ window: ledger.window, err: error }, 'claims of the window cannot be followed')
        following.delete(key)
      })
    },
    unfollowClaims: ledger => unfollow(keyOf(ledger)),
    close() {
      for (const key of [...following.keys()]) unfollow(key)
    },
  }
}
