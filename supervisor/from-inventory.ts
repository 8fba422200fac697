import { type Broker, type BrokerStatus, connectBroker } from '../nats/index.js'
import type { Bucket } from '../src/bucket/bucket.js'
import type { Checkpoint } from '../src/checkpoint/metadata.js'
import { type Profile, profileOf } from '../src/protocol/profile.js'
import { ConfigError } from './config/config-error.js'
import { type LoadedConfig, pathFrom, readSecret } from './config/load.js'
import { requireAccountsBucket } from './config/read-credentials.js'
import type { HostConfig } from './config/schema.js'

// What the inventory names, looked up or opened, for actors and for people's commands. What is missing is a ConfigError.

export function profileFrom({ config }: LoadedConfig): Profile {
  try {
    return profileOf(config.fleet.profile)
  } catch (error) {
    throw new ConfigError(`fleet.profile: ${(error as Error).message}`, { cause: error })
  }
}

/** The host of the inventory called `name`; without a name the only one there is. */
export function hostOf({ config, file }: LoadedConfig, name: string | undefined): HostConfig {
  const names = config.hosts.map(host => host.name)
  if (name === undefined && config.hosts.length === 1) return config.hosts[0]!
  const host = config.hosts.find(candidate => candidate.name === name)
  if (!host)
    throw new ConfigError(
      names.length === 0
        ? `${file} describes no host: add a [[hosts]] section`
        : `${name === undefined ? 'several hosts are described' : `no host is called "${name}"`} in ${file}: choose one of ${names.join(', ')} with --host`,
    )
  return host
}

export function natsPassword({ config, folder }: LoadedConfig): string {
  const { password, password_file } = config.nats
  if (password !== '') return password
  return password_file === '' ? '' : readSecret(pathFrom(folder, password_file), 'nats.password_file')
}

export async function brokerOf(
  loaded: LoadedConfig,
  name: string,
  signal: AbortSignal,
  onStatus: (status: BrokerStatus) => void = () => {},
): Promise<Broker> {
  const { servers, user } = loaded.config.nats
  const password = natsPassword(loaded)
  return connectBroker({ servers, name, signal, onStatus, ...(user === '' ? {} : { user, password }) })
}

export async function bucketOf({ config, folder }: LoadedConfig): Promise<Bucket> {
  const { openBucket } = await import('../src/bucket/index.js')
  const b = config.bucket
  if (b.kind === 'dir') {
    if (b.folder === '') throw new ConfigError('bucket.folder: a dir bucket needs the folder it lies in')
    return openBucket({ kind: 'dir', folder: pathFrom(folder, b.folder) })
  }
  const secretAccessKey =
    b.secret_access_key !== ''
      ? b.secret_access_key
      : b.secret_access_key_file === ''
        ? ''
        : readSecret(pathFrom(folder, b.secret_access_key_file), 'bucket.secret_access_key_file')
  const missing = Object.entries({
    'bucket.name (R2_BUCKET_ID)': b.name,
    'bucket.access_key_id (R2_WRITE_ACCESS_KEY_ID)': b.access_key_id,
    'bucket.secret_access_key_file (or R2_WRITE_SECRET_ACCESS_KEY)': secretAccessKey,
  })
    .filter(([, value]) => value === '')
    .map(([key]) => key)
  if (b.endpoint === '' && b.account_id === '') missing.push('bucket.endpoint (R2_ENDPOINT_URL) or bucket.account_id')
  if (missing.length > 0) throw new ConfigError(`the s3 bucket is not described fully: set ${missing.join(', ')}`)
  if (!b.rehearsal) requireAccountsBucket(b)
  return openBucket({
    kind: 's3',
    endpoint: b.endpoint !== '' ? b.endpoint : `https://${b.account_id}.r2.cloudflarestorage.com`,
    region: b.region,
    bucket: b.name,
    accessKeyId: b.access_key_id,
    secretAccessKey,
    requestTimeoutMs: b.request_timeout_ms,
  })
}

/** The checkpoint the inventory names; read again at every window, so that a replaced folder is noticed. */
export async function checkpointOf({ config, folder }: LoadedConfig, profile: Profile): Promise<Checkpoint | string> {
  const { readCheckpoint } = await import('../src/checkpoint/folder.js')
  if (config.checkpoint.folder === '') return 'checkpoint.folder is not set in the inventory'
  return readCheckpoint(pathFrom(folder, config.checkpoint.folder), profile)
}
