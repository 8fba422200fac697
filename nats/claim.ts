import type { Broker } from './broker.js'
import { dropStream, type Ensured, ensure, streamInfo } from './ensure.js'
import { BrokerError, isBrokerError } from './errors.js'
import { type Fold, fold } from './events.js'
import { checkKey, kvStream, kvSubject } from './names.js'
import { type Patience, persist } from './patience.js'
import { type Stored, storeOnce } from './publish.js'
import { lastOfByLeader } from './read.js'
import { api } from './request.js'
import { DUPLICATE_WINDOW_MS, kvBucket, type WantedStream } from './stream.js'

// The revision of a key-value bucket that only ever takes claims is a counter: the n-th claim has revision n. It is given out
// by the server in one message, without a race, and repeated under the same message id it is the same number again.

export interface ClaimBucketChoices {
  /** How long a claim may be repeated and still be the same claim; at least as long as anyone may retry. */
  duplicateWindowMs?: number
  /** The bucket's entries age out after this, should nobody drop it. Not below the duplicate window. */
  maxAgeMs?: number
  replicas?: number
  /** Most claims the bucket takes; beyond it claims are refused as 'stream-full'. */
  cap?: number
}

/** A forgotten bucket is gone after this, milliseconds: six hours. */
const MAX_AGE_MS = 6 * 3_600_000

/** A claim is a few hundred bytes; what is larger was not meant for this bucket. */
const MAX_CLAIM_BYTES = 4_096

/** A bucket of claims: `nats kv` can read it, but nothing in it can be overwritten or removed, as that would use up numbers. */
export function claimBucket(bucket: string, choices: ClaimBucketChoices = {}): WantedStream {
  const { maxAgeMs = MAX_AGE_MS, duplicateWindowMs = DUPLICATE_WINDOW_MS } = choices
  if (maxAgeMs > 0 && maxAgeMs < duplicateWindowMs)
    throw new BrokerError(
      'invalid',
      `bucket ${bucket}: claims must live (${maxAgeMs} ms) at least as long as their ids are remembered (${duplicateWindowMs} ms)`,
    )
  const base = kvBucket(bucket, { maxAgeMs, replicas: choices.replicas ?? 1, duplicateWindowMs })
  return {
    ...base,
    settings: {
      ...base.settings,
      max_msgs: choices.cap ?? -1,
      max_msg_size: MAX_CLAIM_BYTES,
      allow_rollup_hdrs: false,
      deny_purge: true,
      // One key, one claim: another claim on the same key is refused instead of replacing the first.
      discard_new_per_subject: true,
    },
  }
}

/** Makes a window's bucket ready, ahead of time. Twice is harmless. */
export function ensureClaimBucket(
  broker: Broker,
  bucket: string,
  options: ClaimBucketChoices & Patience,
): Promise<Ensured> {
  return ensure(broker, [claimBucket(bucket, options)], options)
}

export interface Claimed {
  /** 0, 1, 2, … without a gap over all claimers. */
  index: number
  /** The claim was already there: this was a repetition. */
  duplicate: boolean
}

/**
 * Takes the next index. Repeated under the same `id` and key it is the same index again, also after a crash of the claimer or
 * the broker. Where the broker's answer does not tell, the claim is looked up by its key, never guessed.
 * Throws BrokerError: 'not-found' (no such bucket), 'sealed' (closed), 'stream-full' (cap), 'different' (the key belongs to
 * another claim), 'timeout' or 'no-responders' (the broker stayed away for giveUpAfterMs: the claim may exist).
 * @param key the claim's own key, used by no other claim
 * @param value what the claim says, for people and for whoever re-issues it
 */
export function claim(
  broker: Broker,
  bucket: string,
  key: string,
  value: Uint8Array,
  options: Patience & { id: string },
): Promise<Claimed> {
  const stream = kvStream(bucket)
  const doing = `claim ${key} of ${bucket}`
  const headers = { 'Nats-Msg-Id': options.id }
  // Every promise between here and the wire is some 8 % of a claim's CPU in its process.
  return persist(
    doing,
    timeoutMs => {
      checkKey(key)
      const { signal } = options
      const asked = { signal, expectStream: stream, headers, doing, timeoutMs }
      return storeOnce(broker, kvSubject(bucket, key), value, asked).then(claimed, settle)
    },
    options,
  )

  function claimed({ seq, duplicate }: Stored): Claimed {
    return { index: seq - 1, duplicate }
  }

  async function settle(e: unknown): Promise<Claimed> {
    if (!isBrokerError(e)) throw e
    const patience = { signal: options.signal, giveUpAfterMs: 0 }
    if (e.code === 'stream-full')
      throw new BrokerError('stream-full', `${bucket} takes no more claims`, { next: 'never', cause: e })
    if (e.code === 'different' || e.code === 'busy' || e.code === 'sealed') {
      const kept = await lastOfByLeader(broker, stream, kvSubject(bucket, key), patience)
      if (kept?.msgId === options.id) return { index: kept.seq - 1, duplicate: true }
      if (kept !== undefined)
        throw new BrokerError('different', `${doing}: the key belongs to another claim`, { cause: e })
    }
    throw e
  }
}

/** Closes a bucket: later claims are refused as 'sealed'. What is in it stays readable. Twice is harmless. */
export async function sealClaims(broker: Broker, bucket: string, patience: Patience): Promise<void> {
  const stream = kvStream(bucket)
  const info = await streamInfo(broker, stream, patience)
  if (info === undefined) throw new BrokerError('not-found', `seal ${bucket}: there is no such bucket`)
  if (info.config.sealed) return
  await api(broker, `STREAM.UPDATE.${stream}`, { ...info.config, sealed: true }, patience)
}

/** Removes a bucket with its claims; absent is fine. */
export function dropClaimBucket(broker: Broker, bucket: string, patience: Patience): Promise<void> {
  return dropStream(broker, kvStream(bucket), patience)
}

export interface ClaimEntry {
  index: number
  key: string
  value: Uint8Array
  /** When the server took it, unix ms by the server's clock. */
  timeMs: number
  id?: string
}

/** Follows a bucket's claims in the order of their indices, from the first one on. */
export function claims(
  broker: Broker,
  bucket: string,
  options: { signal: AbortSignal; onClaim: (entry: ClaimEntry) => void | Promise<void> },
): Fold {
  const prefix = kvSubject(bucket, '')
  return fold(broker, kvStream(bucket), kvSubject(bucket, '>'), {
    signal: options.signal,
    onEvent: (subject, value, meta) =>
      options.onClaim({
        index: meta.seq - 1,
        key: subject.slice(prefix.length),
        value,
        timeMs: meta.timeMs,
        ...(meta.msgId === undefined ? {} : { id: meta.msgId }),
      }),
  })
}
