import type { ReadCredentials } from '../../src/protocol/read-credentials.js'
import { ConfigError } from './config-error.js'
import type { LoadedConfig } from './load.js'
import type { Config } from './schema.js'

/** Address of an R2 account. */
const R2_ENDPOINT = /^https:\/\/([0-9a-f]+)\.r2\.cloudflarestorage\.com/

/** Does the inventory name anything that is to be committed on chain? A rehearsal's does not. */
export function hasReadCredentials({ config }: LoadedConfig): boolean {
  return config.bucket.read_access_key_id !== '' || config.bucket.read_secret_access_key !== ''
}

/**
 * Validators take the account id for the bucket's name (one-covenant/grail grail/infrastructure/chain_worker.py:155-161, 54d6342):
 * what lies in another bucket is never read. Throws ConfigError when the account is known and the bucket is named otherwise.
 */
export function requireAccountsBucket({ account_id, endpoint, name }: Config['bucket']): void {
  const account = account_id !== '' ? account_id : R2_ENDPOINT.exec(endpoint)?.[1]
  if (account === undefined || name === account) return
  throw new ConfigError(
    `the bucket is named '${name}', but validators look for one named like the account id, '${account}': create that bucket and set bucket.name`,
  )
}

/** Throws ConfigError when one is missing, or when the bucket is not named like the account: validators take the account id for the bucket's name. */
export function readCredentials({ config }: LoadedConfig): ReadCredentials {
  const { account_id, read_access_key_id, read_secret_access_key } = config.bucket
  const wanted = { account_id, read_access_key_id, read_secret_access_key }
  const missing = Object.entries(wanted).flatMap(([key, value]) => (value.trim() === '' ? [`bucket.${key}`] : []))
  if (missing.length > 0) {
    throw new ConfigError(
      `${missing.join(', ')} not set: create a read-only token of the bucket and set R2_ACCOUNT_ID, R2_READ_ACCESS_KEY_ID and R2_READ_SECRET_ACCESS_KEY`,
    )
  }
  requireAccountsBucket(config.bucket)
  return {
    accountId: account_id,
    readAccessKeyId: read_access_key_id,
    readSecretAccessKey: read_secret_access_key,
  }
}
