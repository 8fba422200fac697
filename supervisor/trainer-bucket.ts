import { systemClock } from '../actors/actor.js'
import { openBucket } from '../src/bucket/index.js'
import { ChainError } from '../src/chain/chain-error.js'
import type { Link } from '../src/chain/link.js'
import { readCommitment, readHotkey } from '../src/chain/reads.js'
import type { OpenBucket } from '../src/checkpoint/object-reader.js'
import { scope } from '../src/checkpoint/scope.js'
import { parseReadCommitment, type ReadCredentials } from '../src/protocol/read-credentials.js'
import { timeOut } from '../src/time-out.js'
import { type LoadedConfig, pathFrom } from './config/load.js'

/** The trainer's uid on the subnet (one-covenant/grail grail/protocol/constants.py:156, 54d6342). */
const TRAINER_UID = 0
/** The region readers sign with (grail/infrastructure/comms.py:238-275, 54d6342). */
const REGION = 'us-east-1'
/** The chain is asked for the trainer's credentials this long, ms: a link that is lost at that moment is replaced within it. */
const ASK_MS = 20_000
/** And this long when they are known: they change rarely, and a list that is due before a file is sealed cannot wait. */
const ASK_AGAIN_MS = 3_000
/** Between two tries, ms, and up to as much again by chance. */
const PAUSE_MS = 250

/** Puts a question to the chain, over connections that `link` gives: they may be gone when it is answered. */
export type AskChain = <T>(question: (link: (signal: AbortSignal) => Promise<Link>) => Promise<T>) => Promise<T>

/**
 * The trainer's bucket, read with the credentials it has committed on chain: they are public there by design, and asked
 * for again whenever they are needed, as they may change. While the chain is away those of the last time are taken.
 * `checkpoint.trainer_folder` names a folder with the same layout instead, for rehearsals.
 * @param chain asked only when the bucket is on chain
 */
export function trainerBucket(
  { config, folder }: LoadedConfig,
  chain: AskChain,
  { askMs = ASK_MS, askAgainMs = ASK_AGAIN_MS }: { askMs?: number; askAgainMs?: number } = {},
): OpenBucket {
  const { trainer_folder } = config.checkpoint
  if (trainer_folder !== '') return async () => openBucket({ kind: 'dir', folder: pathFrom(folder, trainer_folder) })
  let known: ReadCredentials | undefined
  return async signal => {
    const found = await ask(known ? askAgainMs : askMs, signal).catch((error: unknown) => {
      signal.throwIfAborted()
      if (known) return known
      throw error
    })
    if (typeof found === 'string') return found
    known = found
    return openBucket({
      kind: 's3',
      endpoint: `https://${found.accountId}.r2.cloudflarestorage.com`,
      region: REGION,
      bucket: found.accountId,
      accessKeyId: found.readAccessKeyId,
      secretAccessKey: found.readSecretAccessKey,
      requestTimeoutMs: config.bucket.request_timeout_ms,
    })
  }

  async function ask(limitMs: number, outer: AbortSignal): Promise<ReadCredentials | string> {
    const limit = scope(outer, timeOut(limitMs))
    try {
      return await chain(link => insist(link, limit.signal))
    } finally {
      limit.end()
    }
  }

  async function insist(link: (signal: AbortSignal) => Promise<Link>, signal: AbortSignal) {
    for (;;) {
      signal.throwIfAborted()
      try {
        return await committed(await link(signal), config.chain.netuid, signal)
      } catch (error) {
        if (signal.aborted || !(error instanceof ChainError) || error.next !== 'later') throw error
        await systemClock.sleep(PAUSE_MS * (1 + Math.random()), signal)
      }
    }
  }
}

async function committed(link: Link, netuid: number, signal: AbortSignal): Promise<ReadCredentials | string> {
  const trainer = await readHotkey(link, netuid, TRAINER_UID, { signal })
  if (trainer === undefined) return `subnet ${netuid} has no trainer: nobody is registered as uid ${TRAINER_UID}`
  const bytes = (await readCommitment(link, netuid, trainer, { signal }))?.bytes
  const credentials = bytes && parseReadCommitment(Buffer.from(bytes).toString('utf8'))
  return credentials ?? `the trainer ${trainer} has no read credentials on chain`
}
