import { checkCommitment, commit } from '../../src/chain/commit.js'
import { parseReadCommitment, readCommitmentText } from '../../src/protocol/read-credentials.js'
import { loadHotkey } from '../../src/wallet/wallet.js'
import { pathFrom } from '../config/load.js'
import { readCredentials } from '../config/read-credentials.js'
import type { ChainVerb } from './chain-verb.js'

/**
 * `grail chain commit`: puts the bucket's read credentials on chain when they are not there yet. Everybody can read them
 * there: the token must be for reading only. Asks first; `--yes` does not, `--dry-run` only says what would be done.
 */
export async function commitVerb(verb: ChainVerb): Promise<number> {
  const { chain, loaded, io, signal } = verb
  const { config, folder } = loaded
  const { netuid } = config.chain
  const text = readCommitmentText(readCredentials(loaded))
  const signer = await loadHotkey({
    path: pathFrom(folder, config.wallet.path),
    cold: config.wallet.cold,
    hot: config.wallet.hot,
    ...(config.wallet.password_file === '' ? {} : { passwordFile: pathFrom(folder, config.wallet.password_file) }),
    signal,
  })
  const options = { link: chain.link, netuid, signer, text, signal }
  const { uid, onChain, differs } = await checkCommitment(options)
  const { account_id: bucket, read_access_key_id: key } = config.bucket
  const old = onChain?.bytes && parseReadCommitment(Buffer.from(onChain.bytes).toString('utf8'))
  const say = (outcome: string, block: number | undefined, line: string): number => {
    const facts = { outcome, hotkey: signer.ss58, uid, netuid, bucket, before: old?.accountId ?? null, block }
    io.out(verb.json ? JSON.stringify({ ...facts, block: block ?? null }) : line)
    return outcome === 'declined' ? 1 : 0
  }
  const who = `${signer.ss58} (uid ${uid} of subnet ${netuid})`
  if (!differs) {
    return say('unchanged', onChain?.block, `${who} has these credentials on chain since block ${onChain?.block}`)
  }
  const isOnlySecret = old?.accountId === bucket && old.readAccessKeyId === key
  const change = `${who}: bucket ${old?.accountId ?? 'none'} → ${bucket}, read key ${masked(old?.readAccessKeyId ?? 'none')} → ${masked(key)}${isOnlySecret ? ', a new secret' : ''}`
  if (verb.dryRun) return say('dry-run', undefined, `would commit for ${change}`)
  if (!verb.json) io.err(`commit for ${change}; key and secret become public`)
  if (!verb.yes && !(await io.ask('Commit these read credentials on chain?'))) {
    return say('declined', undefined, 'nothing was committed: confirm, or give --yes where there is no terminal')
  }
  const { block } = await commit(options)
  return say('committed', block, `committed in block ${block} and read back; validators look again within 10 minutes`)
}

/** Enough of a key to tell two apart. */
function masked(key: string): string {
  return key.length <= 8 ? key : `${key.slice(0, 4)}…`
}
