import { BrokerError } from './errors.js'

export interface ServerSettings {
  /** Unique in a cluster: equal names leave it without a leader while every server says it is ready. */
  name: string
  /** Address to listen on. */
  host: string
  port: number
  /** Folder of the streams, the server's alone. */
  storeDir: string
  /** Bytes; above 8 MiB the server warns. */
  maxPayload?: number
  /** Bytes that may wait for a slow reader before it is dropped; blobs of several MB reach the server's default of 64 MiB quickly. */
  maxPending?: number
  /** Bytes of disk for all streams. */
  maxFileStore?: number
  /** Bytes of memory for streams kept there. */
  maxMemoryStore?: number
  /** All clients are one user; without it anyone who reaches the port may do anything. */
  user?: string
  password?: string
  /** Port of the server's own monitoring, on loopback. */
  monitorPort?: number
  cluster?: {
    name: string
    port: number
    /** The other servers, host:port of their cluster port. */
    routes: readonly string[]
    /** What the servers show each other. */
    user?: string
    password?: string
  }
  /** Copies of each stream the fleet will ask for: more than one needs a cluster of at least as many servers. */
  replicas?: number
}

const MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
const MAX_PENDING_BYTES = 512 * 1024 * 1024
const MAX_FILE_STORE_BYTES = 50 * 1024 ** 3
const MAX_MEMORY_STORE_BYTES = 256 * 1024 ** 2

/** A string in the configuration language: quoted, so that nothing in it is read as a variable or a number. */
function quoted(what: string, text: string): string {
  for (const char of text) {
    if (char < ' ' || char === '\u007f')
      throw new BrokerError(
        'invalid',
        `nats-server ${what}: control characters cannot be written into its configuration`,
      )
  }
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

function whole(what: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max)
    throw new BrokerError('invalid', `nats-server ${what}: ${value} is not a whole number from ${min} to ${max}`)
  return value
}

const port = (what: string, value: number) => whole(what, value, 1, 65_535)

function login(what: string, user: string | undefined, password: string | undefined): string[] {
  if (user === undefined && password === undefined) return []
  if (!user || !password) throw new BrokerError('invalid', `nats-server ${what}: user and password go together`)
  return [`authorization { user: ${quoted(`${what} user`, user)}, password: ${quoted(`${what} password`, password)} }`]
}

function clusterBlock(host: string, cluster: NonNullable<ServerSettings['cluster']>): string[] {
  const { user, password } = cluster
  // The server expands no variables inside a route's address: what is needed there is written out.
  const who = user && password ? `${encodeURIComponent(user)}:${encodeURIComponent(password)}@` : ''
  return [
    'cluster {',
    `  name: ${quoted('cluster name', cluster.name)}`,
    `  listen: ${quoted('cluster address', `${host}:${port('cluster port', cluster.port)}`)}`,
    ...login('cluster', user, password).map(line => `  ${line}`),
    '  routes: [',
    ...cluster.routes.map(route => `    ${quoted('route', `nats-route://${who}${route}`)}`),
    '  ]',
    '}',
  ]
}

/**
 * The configuration of a nats-server: alone, or one of a cluster. Secrets stand in it: the file is for its user alone (0600).
 * Throws BrokerError 'invalid' for what the server would refuse or, worse, take.
 */
export function renderServerConfig(settings: ServerSettings): string {
  const { name, host, cluster, replicas = 1 } = settings
  whole('replicas', replicas, 1, 5)
  const servers = 1 + (cluster?.routes.length ?? 0)
  if (servers < replicas)
    throw new BrokerError(
      'invalid',
      `nats-server ${name}: ${replicas} copies of a stream need ${replicas} servers, ${servers} are configured`,
    )
  return `${[
    `server_name: ${quoted('name', name)}`,
    `host: ${quoted('host', host)}`,
    `port: ${port('port', settings.port)}`,
    ...(settings.monitorPort === undefined
      ? []
      : [`http: "127.0.0.1:${port('monitoring port', settings.monitorPort)}"`]),
    `max_payload: ${whole('max_payload', settings.maxPayload ?? MAX_PAYLOAD_BYTES, 1024, 64 * 1024 * 1024)}`,
    `max_pending: ${whole('max_pending', settings.maxPending ?? MAX_PENDING_BYTES, 1024, 2 ** 40)}`,
    ...login('clients', settings.user, settings.password),
    'jetstream {',
    `  store_dir: ${quoted('store folder', settings.storeDir)}`,
    `  max_memory_store: ${whole('memory store', settings.maxMemoryStore ?? MAX_MEMORY_STORE_BYTES, 0, 2 ** 50)}`,
    `  max_file_store: ${whole('file store', settings.maxFileStore ?? MAX_FILE_STORE_BYTES, 1024, 2 ** 50)}`,
    '}',
    ...(cluster === undefined ? [] : clusterBlock(host, cluster)),
  ].join('\n')}\n`
}
