import type { Head } from '../../src/chain/chain.js'
import { readCommitment, readHotkey, readUid } from '../../src/chain/reads.js'
import { parseReadCommitment } from '../../src/protocol/read-credentials.js'
import { readAddress } from '../../src/wallet/address.js'
import { publicKeyOf } from '../../src/wallet/sr25519.js'
import { windowOf } from '../../src/window/block.js'
import { ConfigError } from '../config/config-error.js'
import { pathFrom } from '../config/load.js'
import type { ChainVerb } from './chain-verb.js'

/** GRAIL's trainer has this uid (one-covenant/grail grail/protocol/constants.py:156, 54d6342). */
const TRAINER_UID = 0

/** `grail chain status`: the connection, the head, the hotkey's place, its bucket and the trainer's. 1 when the hotkey has no place. */
export async function statusVerb(verb: ChainVerb): Promise<number> {
  const { chain, loaded, io, signal } = verb
  const { netuid } = loaded.config.chain
  const link = await chain.link(signal)
  const best = await firstBest(verb)
  const final = await chain.finalized(signal)
  const { wallet } = loaded.config
  const place = { path: pathFrom(loaded.folder, wallet.path), cold: wallet.cold, hot: wallet.hot }
  const hotkey = verb.hotkey === undefined ? await readAddress(place) : checked(verb.hotkey)
  const uid = hotkey === undefined ? undefined : await readUid(link, netuid, hotkey, { signal })
  const trainer = await readHotkey(link, netuid, TRAINER_UID, { signal })
  const report = {
    endpoint: link.connection.endpoint,
    genesis: link.genesisHash,
    spec: link.specVersion(),
    best: best.number,
    bestHash: best.hash,
    ageSeconds: Math.round((Date.now() - best.timestampMs) / 1000),
    final,
    window: windowOf(best.number),
    netuid,
    hotkey,
    uid,
    bucket: hotkey === undefined ? undefined : await bucketOf(verb, hotkey),
    // Another hotkey's bucket is not this inventory's.
    wanted: verb.hotkey === undefined ? loaded.config.bucket.account_id : '',
    trainer,
    trainerBucket: trainer === undefined ? undefined : await bucketOf(verb, trainer),
  }
  if (verb.json) io.out(JSON.stringify(report, (_, value) => value ?? null))
  else for (const line of lines(report)) io.out(line)
  return hotkey !== undefined && uid === undefined ? 1 : 0
}

type Report = Record<'endpoint' | 'genesis' | 'bestHash' | 'wanted', string> &
  Record<'spec' | 'best' | 'ageSeconds' | 'final' | 'window' | 'netuid', number> & {
    hotkey: string | undefined
    uid: number | undefined
    bucket: string | undefined
    trainer: string | undefined
    trainerBucket: string | undefined
  }

function lines(report: Report): string[] {
  const { netuid, hotkey, uid } = report
  const place =
    hotkey === undefined
      ? 'no wallet is found: set wallet.path, wallet.cold and wallet.hot, or give --hotkey SS58'
      : uid === undefined
        ? `${hotkey} is NOT registered: run 'btcli subnet register --netuid ${netuid}' with its wallet`
        : `${hotkey} has uid ${uid}`
  return [
    `endpoint  ${report.endpoint}, spec ${report.spec}, genesis ${report.genesis}`,
    `head      block ${report.best}, ${report.ageSeconds} s old; final ${report.final}; window ${report.window}`,
    `hotkey    ${place}`,
    ...(hotkey === undefined ? [] : [`bucket    ${bucketText(report)}`]),
    `trainer   ${report.trainer ?? `uid ${TRAINER_UID} is free`}, bucket ${report.trainerBucket ?? 'none committed'}`,
  ]
}

function bucketText({ bucket, wanted }: Report): string {
  if (bucket === undefined) return `none committed${wanted === '' ? '' : ': run "grail chain commit"'}`
  if (wanted === '' || wanted === bucket) return bucket
  return `${bucket}, but this inventory has ${wanted}: run "grail chain commit"`
}

function checked(ss58: string): string {
  try {
    publicKeyOf(ss58)
    return ss58
  } catch {
    throw new ConfigError(`--hotkey ${ss58}: an ss58 address is needed`)
  }
}

/** Name of the committed bucket: with R2, the account id. */
async function bucketOf({ chain, loaded, signal }: ChainVerb, hotkey: string): Promise<string | undefined> {
  const link = await chain.link(signal)
  const found = await readCommitment(link, loaded.config.chain.netuid, hotkey, { signal })
  if (!found?.bytes) return undefined
  return parseReadCommitment(Buffer.from(found.bytes).toString('utf8'))?.accountId
}

async function firstBest({ chain, signal }: ChainVerb): Promise<Head> {
  const enough = new AbortController()
  for await (const event of chain.events(AbortSignal.any([signal, enough.signal]))) {
    if (event.kind !== 'best') continue
    enough.abort()
    return event.head
  }
  throw signal.reason ?? new Error('the chain was closed')
}
