import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import * as z from 'zod'
import { DRAND_BASES, QUICKNET } from '../protocol/drand.js'
import { windowRandomness } from '../protocol/randomness.js'
import { timeOut } from '../time-out.js'
import type { Link } from './link.js'
import { readLatestPulse } from './reads.js'

/** Time for drand in all, ms: the window is running. */
const DRAND_MS = 2_000

/** The next base is asked when the one before has been silent for this long, ms. */
const NEXT_BASE_MS = 500

/** Time for the chain's own pulses, ms. */
const PULSE_MS = 2_000

const Round = z.looseObject({
  round: z.number().int().positive(),
  randomness: z.string().regex(/^[0-9a-f]{64}$/),
  signature: z.string().regex(/^([0-9a-f]{2})+$/),
})

/** The randomness of a window, and where it is from. */
export interface WindowRandomness {
  /** 64 hex characters without 0x. */
  randomness: string
  source: 'drand' | 'chain' | 'hash'
  /** drand's round; undefined when there is no pulse in it. */
  round: number | undefined
  /** Why better sources were passed over. */
  passedOver: string[]
}

export interface BeaconOptions {
  /** Base addresses of drand, in order; default those of the reference. Empty asks none. */
  bases?: readonly string[]
  /** The chain's pulses are the second source; undefined leaves it out. */
  link?: (signal: AbortSignal) => Promise<Link>
  drandMs?: number
  fetch?: typeof fetch
  signal: AbortSignal
}

/**
 * Randomness of the window with hash `windowHash`: drand's latest round within 2 s, else the newest pulse the chain has
 * stored, else the hash alone. Validators never compare it, so that any of the three is accepted
 * (one-covenant/grail grail/cli/mine.py:230-255 and grail/validation/validators/proof.py:188-206, 54d6342). Throws only
 * when the signal aborts.
 */
export async function beaconOf(windowHash: string, options: BeaconOptions): Promise<WindowRandomness> {
  const passedOver: string[] = []
  const attempt = async <T>(source: string, ask: () => Promise<T | undefined>): Promise<T | undefined> => {
    try {
      const found = await ask()
      if (found === undefined) passedOver.push(`${source}: nothing there`)
      return found
    } catch (error) {
      options.signal.throwIfAborted()
      passedOver.push(`${source}: ${reason(error)}`)
      return undefined
    }
  }
  const bases = options.bases ?? DRAND_BASES
  const drand = bases.length === 0 ? undefined : await attempt('drand', async () => await latestRound(bases, options))
  if (drand) return result(windowHash, 'drand', drand, passedOver)
  const { link } = options
  const pulse =
    link &&
    (await attempt('chain', async () => {
      const signal = AbortSignal.any([options.signal, timeOut(PULSE_MS)])
      const found = await readLatestPulse(await link(signal), { signal })
      return found && consistent(found)
    }))
  if (pulse) return result(windowHash, 'chain', pulse, passedOver)
  return { randomness: windowRandomness(windowHash), source: 'hash', round: undefined, passedOver }
}

interface Beacon {
  round: number
  randomness: string
  signature: string
}

function result(windowHash: string, source: 'drand' | 'chain', beacon: Beacon, passedOver: string[]): WindowRandomness {
  return { randomness: windowRandomness(windowHash, beacon.randomness), source, round: beacon.round, passedOver }
}

/** The first good answer of all bases, each started a little after the one before. */
async function latestRound(bases: readonly string[], options: BeaconOptions): Promise<Beacon> {
  const over = new AbortController()
  const limit = timeOut(options.drandMs ?? DRAND_MS)
  const signal = AbortSignal.any([options.signal, over.signal, limit])
  const ask = options.fetch ?? fetch
  try {
    return await Promise.any(
      bases.map(async (base, turn) => {
        if (turn > 0) await delay(turn * NEXT_BASE_MS, undefined, { signal })
        const response = await ask(`${base.replace(/\/$/, '')}/${QUICKNET.hash}/public/latest`, { signal })
        if (!response.ok) throw new Error(`${base} answered ${response.status}`)
        return consistent(Round.parse(await response.json()))
      }),
    )
  } finally {
    over.abort()
  }
}

/** drand's randomness is the hash of its signature; anything else is a broken or a lying source. */
function consistent(beacon: Beacon): Beacon {
  const expected = createHash('sha256').update(Buffer.from(beacon.signature, 'hex')).digest('hex')
  if (beacon.randomness !== expected) throw new Error(`round ${beacon.round}: randomness is not that of its signature`)
  return beacon
}

function reason(error: unknown): string {
  if (error instanceof AggregateError) return [...new Set(error.errors.map(reason))].join('; ')
  return error instanceof Error ? (error.cause instanceof Error ? error.cause.message : error.message) : String(error)
}
