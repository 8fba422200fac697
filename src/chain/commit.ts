import { stringToU8a, u8aEq } from '@polkadot/util'
import { blake2AsHex } from '@polkadot/util-crypto'
import * as z from 'zod'
import { timeOut } from '../time-out.js'
import { ChainError } from './chain-error.js'
import { type Clock, wallClock } from './clock.js'
import { headerAt } from './head.js'
import { dispatchOutcome } from './inclusion.js'
import type { Link } from './link.js'
import { type OnChainCommitment, readCommitment, readUid } from './reads.js'
import { pairOf, type Signer } from './signer.js'

/** A transaction is valid for this many blocks from the newest final one. */
const ERA_BLOCKS = 64

/** Default limit from submission to inclusion, ms: seven blocks. */
const INCLUSION_MS = 90_000

/** Signed anew at most this often, when the runtime or the nonce moved on between signing and arrival. */
const SIGNATURES = 3

/** Bytes of a commitment that readers take: one Raw128 field. */
const COMMITMENT_BYTES = 128

export interface CommitOptions {
  /** Gives the link of the moment, anew for every attempt; waits for one. */
  link: (signal: AbortSignal) => Promise<Link>
  netuid: number
  signer: Signer
  /** 128 bytes of ASCII: see readCommitmentText of src/protocol. */
  text: string
  /** Limit from submission to inclusion, ms; default 90,000. */
  inclusionMs?: number
  clock?: Clock
  signal: AbortSignal
}

/** What lies on chain compared with what shall. */
export interface CommitmentCheck {
  uid: number
  onChain: OnChainCommitment | undefined
  /** Whether the bytes differ, so that a commit is due. */
  differs: boolean
}

/**
 * Compares the hotkey's commitment with `text`. Throws ChainError 'not-registered' (never, with the command that
 * registers), and RangeError for a text that is not 128 bytes long.
 */
export async function checkCommitment(options: CommitOptions): Promise<CommitmentCheck> {
  const { netuid, signer, signal } = options
  const wanted = bytesOf(options.text)
  const link = await options.link(signal)
  const uid = await readUid(link, netuid, signer.ss58, { signal })
  if (uid === undefined) throw notRegistered(netuid, signer.ss58)
  const onChain = await readCommitment(link, netuid, signer.ss58, { signal })
  return { uid, onChain, differs: !onChain?.bytes || !u8aEq(onChain.bytes, wanted) }
}

export interface CommitResult {
  outcome: 'unchanged' | 'committed'
  uid: number
  /** Block in which the commitment that now stands was made. */
  block: number
}

/**
 * Makes `text` the hotkey's commitment unless it already is: signs, submits, waits for inclusion, and reads it back. Costs
 * nothing, but counts 128 bytes of the 3,100 that a hotkey has per epoch.
 * @throws ChainError 'not-registered', 'space-limit' and 'dispatch' (the runtime refused), 'rejected' (the pool did),
 * 'not-included' (unknown: no word within the limit and not on chain), 'read-back' (something else stands there)
 */
export async function commit(options: CommitOptions): Promise<CommitResult> {
  const before = await checkCommitment(options)
  if (!before.differs) return { outcome: 'unchanged', uid: before.uid, block: before.onChain?.block as number }
  const wanted = bytesOf(options.text)
  const silence = await submitUntilIncluded(options, wanted)
  const after = await readBack(options).catch((error: unknown) => {
    throw silence ?? error
  })
  if (after?.bytes && u8aEq(after.bytes, wanted)) return { outcome: 'committed', uid: before.uid, block: after.block }
  if (silence) throw silence
  throw new ChainError('read-back', 'the commitment was included, but another one stands on chain now', 'unknown')
}

/** Over a new link if need be, but not for ever. */
async function readBack(options: CommitOptions): Promise<OnChainCommitment | undefined> {
  const signal = AbortSignal.any([options.signal, timeOut(options.inclusionMs ?? INCLUSION_MS)])
  const link = await options.link(signal)
  return await readCommitment(link, options.netuid, options.signer.ss58, { signal })
}

/** Resolves when the commitment was carried out in a block; with an error when nothing more was heard of it. */
async function submitUntilIncluded(options: CommitOptions, wanted: Uint8Array): Promise<ChainError | undefined> {
  for (let signature = 1; ; signature++) {
    const link = await options.link(options.signal)
    const bytes = await signed(link, options, wanted)
    const specVersion = link.specVersion()
    try {
      const silence = await watch(link, bytes, options)
      // an upgrade between signing and inclusion makes the signature void
      const isVoid = silence?.code === 'rejected' && specVersion !== link.specVersion()
      if (!isVoid || signature === SIGNATURES) return silence
    } catch (error) {
      if (!(error instanceof ChainError)) throw error
      // sent, but the answer never came: it may be on its way
      if (error.code === 'connection' || error.code === 'timeout') return notIncluded(error.message)
      if (error.code !== 'rpc' || signature === SIGNATURES) throw rejected(error)
      const movedOn = specVersion !== link.specVersion() || /outdated|stale|ancient|bad signature/i.test(error.message)
      if (!movedOn) throw rejected(error)
    }
  }
}

/** The signed extrinsic as hex: call and indices by the runtime's present metadata, mortal from the newest final block. */
async function signed(link: Link, { netuid, signer, signal }: CommitOptions, wanted: Uint8Array): Promise<string> {
  const api = await link.api(signal)
  const setCommitment = api.tx.commitments?.setCommitment
  if (!setCommitment) throw new ChainError('rpc', 'the runtime has no call commitments.setCommitment', 'never')
  const finalHash = z.string().parse(await link.connection.request('chain_getFinalizedHead', [], signal))
  const final = await headerAt(link.connection, finalHash, signal)
  const nonce = z.number().parse(await link.connection.request('system_accountNextIndex', [signer.ss58], signal))
  const extrinsic = setCommitment(netuid, { fields: [{ Raw128: wanted }] })
  extrinsic.sign(pairOf(signer), {
    blockHash: final.hash,
    era: api.registry.createType('ExtrinsicEra', { current: final.number, period: ERA_BLOCKS }),
    genesisHash: link.genesisHash,
    nonce,
    runtimeVersion: api.runtimeVersion,
    signedExtensions: api.registry.signedExtensions,
  })
  return extrinsic.toHex()
}

/** Submits and follows one extrinsic until it is in a block, the pool drops it, or the time is up. */
async function watch(link: Link, bytes: string, options: CommitOptions): Promise<ChainError | undefined> {
  const { connection } = link
  const over = new AbortController()
  const signal = AbortSignal.any([options.signal, over.signal])
  const inclusionMs = options.inclusionMs ?? INCLUSION_MS
  let tell: (status: unknown) => void = () => {}
  const ended = new Promise<unknown>(resolve => {
    tell = status => {
      if (isEnd(status)) resolve(status)
    }
  })
  const id = await connection.subscribe('author_submitAndWatchExtrinsic', [bytes], status => tell(status))
  try {
    const status = await Promise.race([
      ended,
      connection.gone.then(why => ({ silent: `the connection ended (${why})` })),
      (options.clock ?? wallClock).sleep(inclusionMs, signal).then(() => ({ silent: `${inclusionMs} ms passed` })),
    ])
    options.signal.throwIfAborted()
    const { inBlock, silent } = Status.parse(status)
    if (silent !== undefined) return notIncluded(silent)
    if (inBlock === undefined) {
      return new ChainError('rejected', `the node dropped the commitment: ${JSON.stringify(status)}`, 'later')
    }
    const failure = await dispatchOutcome(link, blake2AsHex(bytes, 256), inBlock, options.signal)
    if (failure) throw refused(failure.name, options)
    return undefined
  } finally {
    over.abort()
    connection.unsubscribe('author_unwatchExtrinsic', id).catch(() => {})
  }
}

const Status = z.preprocess(
  status => (typeof status === 'string' ? {} : status),
  z.looseObject({ inBlock: z.string().optional(), silent: z.string().optional() }),
)

/** Statuses after which nothing better comes; `retracted` is followed by another inBlock. */
function isEnd(status: unknown): boolean {
  if (typeof status === 'string') return ['invalid', 'dropped'].includes(status)
  if (typeof status !== 'object' || status === null) return false
  return ['inBlock', 'finalized', 'usurped', 'finalityTimeout'].some(kind => kind in status)
}

/** Errors of the pallet by name (opentensor/subtensor pallets/commitments/src/lib.rs, 14bc6f9). */
function refused(name: string, { netuid, signer }: CommitOptions): ChainError {
  if (name === 'commitments.AccountNotAllowedCommit') return notRegistered(netuid, signer.ss58)
  if (name === 'commitments.SpaceLimitExceeded') {
    return new ChainError(
      'space-limit',
      'the hotkey has used up the bytes of commitments it has per epoch (3,100): try again in the next epoch, 72 minutes at most',
      'later',
    )
  }
  return new ChainError('dispatch', `the runtime refused the commitment: ${name}`, 'never')
}

function notIncluded(why: string): ChainError {
  return new ChainError(
    'not-included',
    `no word of the commitment's inclusion: ${why}; look at it with 'grail chain status'`,
    'unknown',
  )
}

function rejected(error: ChainError): ChainError {
  if (error.code !== 'rpc') return error
  return new ChainError('rejected', `the node refused the commitment: ${error.message}`, 'never', { cause: error })
}

export function notRegistered(netuid: number, ss58: string): ChainError {
  return new ChainError(
    'not-registered',
    `hotkey ${ss58} is not registered on subnet ${netuid}: run 'btcli subnet register --netuid ${netuid}' with its wallet`,
    'never',
  )
}

function bytesOf(text: string): Uint8Array {
  const bytes = stringToU8a(text)
  if (bytes.length !== COMMITMENT_BYTES) {
    throw new RangeError(
      `a commitment has ${COMMITMENT_BYTES} bytes, this one ${bytes.length}: the credentials must be ASCII`,
    )
  }
  return bytes
}
