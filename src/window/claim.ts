import { z } from 'zod'

/** Bucket that holds the claims of one window and epoch: its revisions are the claim indices + 1. */
export function claimsOf(window: number, epoch: number): string {
  return `grail_claims_${window}_${epoch}`
}

/** Who claimed an index: the value of the claim's entry. */
export interface Claim {
  generator: string
  /** Start of the generator process that claimed; a later boot of the same generator does not own it. */
  boot: string
  checkpointWindow: number
  /** Unix ms by the generator's clock: for people only, decisions use the server's time. */
  atMs: number
}

const schema = z.strictObject({
  generator: z.string(),
  boot: z.string(),
  checkpointWindow: z.number().int(),
  atMs: z.number(),
})

export function encodeClaim(claim: Claim): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(claim))
}

/** Throws a ZodError or SyntaxError when the bytes are no claim. */
export function decodeClaim(bytes: Uint8Array): Claim {
  return schema.parse(JSON.parse(new TextDecoder().decode(bytes)))
}

/** A claim as the controller sees it. */
export interface OwnedClaim extends Claim {
  index: number
  /** When the server stored it, unix ms. */
  storedMs: number
}

/** What a generator tells about itself, as far as its claims go. */
export interface Alive {
  boot: string
  inFlight: readonly number[]
  /** When the server stored this presence, unix ms. */
  seenMs: number
}

/**
 * A claim that its live owner does not list is an orphan only when the owner spoke this long after the claim was stored:
 * between the claim's answer and the next presence message the two views may differ.
 */
export const LIST_GRACE_MS = 3_000

export interface OrphanQuery {
  claims: Iterable<OwnedClaim>
  /** Indices that are staged, dropped with a reason, or waiting on the reissue queue. */
  settled: ReadonlySet<number>
  alive: ReadonlyMap<string, Alive>
}

/**
 * Indices nobody is working on, lowest first: claimed, not settled, not listed as in flight by any live generator, and
 * owned by a dead generator, an earlier boot, or a live one that has since spoken without listing them (design.md §3).
 * A slow generator that is alive and lists its index keeps it however long it takes.
 */
export function orphans({ claims, settled, alive }: OrphanQuery): number[] {
  const inFlight = new Set<number>()
  for (const generator of alive.values()) for (const index of generator.inFlight) inFlight.add(index)
  const found: number[] = []
  for (const claim of claims) {
    if (settled.has(claim.index) || inFlight.has(claim.index)) continue
    const owner = alive.get(claim.generator)
    const ownerWorksOnIt = owner?.boot === claim.boot && owner.seenMs < claim.storedMs + LIST_GRACE_MS
    if (!ownerWorksOnIt) found.push(claim.index)
  }
  return found.sort((a, b) => a - b)
}
