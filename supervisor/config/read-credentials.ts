import type { ReadCredentials } from '../../src/protocol/read-credentials.js'
import { ConfigError } from './config-error.js'
import type { LoadedConfig } from './load.js'

/** Does the inventory name anything that is to be committed on chain? A rehearsal's does not. */
export function hasReadCredentials({ config }: LoadedConfig): boolean {
  return config.bucket.read_access_key_id !== '' || config.bucket.read_secret_access_key !== ''
}

/** Throws ConfigError when one is missing, or when the bucket is not named like the account: validators take the account id for the bucket's name. */
export function readCredentials({ config }: LoadedConfig): ReadCredentials {
  const { account_id, read_access_key_id, read_secret_access_key, name } = config.bucket
  const wanted = { account_id, read_access_key_id, read_secret_access_key }
  const missing = Object.entries(wanted).flatMap(([key, value]) => (value.trim() === '' ? [`bucket.${key}`] : []))
  if (missing.length > 0) {
    throw new ConfigError(
      `${missing.join(', ')} not set: create a read-only token of the bucket and set R2_ACCOUNT_ID, R2_READ_ACCESS_KEY_ID and R2_READ_SECRET_ACCESS_KEY`,
    )
  }
  if (name !== account_id) {
    throw new ConfigError(
      `the bucket is named '${name}', but validators look for one named like the account id, '${account_id}': create that bucket and set bucket.name`,
    )
  }
  return {
    accountId: account_id,
    readAccessKeyId: read_access_key_id,
    readSecretAccessKey: read_secret_access_key,
  }
}
