import { z } from 'zod'
import { DRAND_BASES } from '../../src/protocol/drand.js'
import { FIRST_TAIL_MS } from '../../src/window/deadline.js'
import { host } from './host.js'

const port = z.number().int().min(1).max(65_535)
const ms = z.number().int().min(0)

const fleet = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9-]+$/, 'lower-case letters, digits and dashes')
    .default('grail'),
  profile: z.string().default('grail-v5'),
  /** Folder for logs, sockets, the broker's store and downloads. */
  state: z.string().default('.grail'),
  log_level: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
})

const nats = z.strictObject({
  servers: z.array(z.string()).min(1).default(['nats://127.0.0.1:4222']),
  user: z.string().default(''),
  password_file: z.string().default(''),
  /** Value of the password: only from the environment, never from a file others may read. */
  password: z.string().default(''),
  replicas: z.union([z.literal(1), z.literal(3)]).default(1),
})

const chain = z.strictObject({
  endpoints: z
    .array(z.string().regex(/^wss?:\/\/\S+$/, 'an address that begins with wss:// or ws:// is needed'))
    .min(1)
    .default(['wss://entrypoint-finney.opentensor.ai:443']),
  /** Refuse any chain with another genesis hash; '' takes what is there. */
  genesis: z
    .string()
    .regex(/^(0x[0-9a-f]{64})?$/i, "0x and 64 hex digits are needed, or '' for any chain")
    .default(''),
  netuid: z.number().int().min(0).max(65_535).default(81),
  /** A head older than this is a stall: the connection is replaced. */
  stall_ms: ms.default(45_000),
  /** The hotkey's registration is looked at this often. */
  registration_ms: ms.min(1_000).default(60_000),
  /** Base addresses of drand, asked in order for 2 s; empty asks none, and the chain's own pulses or the hash are taken. */
  drand: z.array(z.string()).default([...DRAND_BASES]),
})

const wallet = z.strictObject({
  path: z.string().default('~/.bittensor/wallets'),
  cold: z.string().default('default'),
  hot: z.string().default('default'),
  password_file: z.string().default(''),
})

const bucket = z.strictObject({
  kind: z.enum(['s3', 'dir']).default('s3'),
  /** Folder of a dir bucket. */
  folder: z.string().default(''),
  endpoint: z.string().default(''),
  region: z.string().default('auto'),
  name: z.string().default(''),
  account_id: z.string().default(''),
  access_key_id: z.string().default(''),
  secret_access_key_file: z.string().default(''),
  secret_access_key: z.string().default(''),
  read_access_key_id: z.string().default(''),
  read_secret_access_key: z.string().default(''),
  request_timeout_ms: ms.default(20_000),
  /** May files of the rehearsal engine be put here? Never true for a bucket validators read. */
  rehearsal: z.boolean().default(false),
})

const checkpoint = z.strictObject({
  /** 'trainer' takes the newest READY checkpoint of the trainer's bucket, 'folder' always the one below. */
  source: z.enum(['folder', 'trainer']).default('folder'),
  /** Folder of the checkpoint to mine with. */
  folder: z.string().default(''),
  /** A folder laid out like the trainer's bucket, read instead of it. */
  trainer_folder: z.string().default(''),
  /** Where checkpoints of the trainer are kept; '' takes a folder under fleet.state. */
  cache: z.string().default(''),
  /** Room for checkpoints, GiB: two of 16 GB and the files of a delta. */
  cache_gib: z.number().min(1).default(64),
  /** Checkpoints not used for this long are removed, hours. */
  cache_hours: z.number().min(1).default(24),
})

const environment = z.strictObject({
  /** Folder of data sets, one folder each; '' uses the hub's cache and then the hub. */
  datasets: z.string().default(''),
  /** Python that runs the judges of code and symbolic answers; '' takes the system's python3. MATH needs sympy in it. */
  python: z.string().default(''),
})

const engine = z.strictObject({
  name: z.enum(['rehearsal', 'transformers', 'sglang', 'vllm']).default('transformers'),
  /** sglang and vllm: the virtual environment, Python or executable that is the server. */
  program: z.string().default(''),
  /** sglang and vllm: URL of a server that is already running, instead of starting one. */
  attach: z.string().default(''),
  extra_args: z.array(z.string()).default([]),
  /** GPUs the server splits the model over; 0 takes all that its generator generates on. */
  tensor_parallel: z.number().int().min(0).default(0),
  /** Share of the GPU's memory the server may take; 0 leaves room for a proof worker where it has one beside it. */
  memory_share: z.number().min(0).max(1).default(0),
  /** Longest sequence, tokens; 0 takes the engine's own choice. */
  context_length: z.number().int().min(0).default(0),
  /** Python that has the worker's requirements. */
  python: z.string().default('.venv/bin/python'),
  /** Torch threads of a worker on the CPU; 0 leaves it to torch. */
  threads: z.number().int().min(0).default(0),
  device: z.string().default('auto'),
  /** Attention kernel of the proofs, as transformers names it; auto takes the protocol's. */
  attention: z.enum(['auto', 'flash_attention_2', 'sdpa', 'eager']).default('auto'),
  /** vllm: how weights are changed. reload needs the server's development mode. */
  weights: z.enum(['restart', 'reload']).default('restart'),
  /** Most groups asked of the engine at once; 0 takes 1 where it makes one at a time, and as many as a server batches well. */
  lanes: z.number().int().min(0).max(64).default(0),
  /** One group is made and replayed before claims open and after every change of weights: exact equality, or no mining. */
  canary: z.boolean().default(true),
  /** Pace of the rehearsal engine: milliseconds per group. */
  pace_ms: ms.default(1_000),
})

const policy = z.strictObject({
  holes: z.enum(['keep', 'truncate']).default('keep'),
  /** Groups per window; work beyond the profile's cap earns nothing. 0 takes the cap of the profile. */
  max_groups: z.number().int().min(0).default(0),
  /** Size of every part of the file but the last: object stores take 5 MiB or more. */
  part_bytes: z
    .number()
    .int()
    .min(5 * 1024 * 1024)
    .default(8 * 1024 * 1024),
  /** Time from the last staged group to the verified object that is assumed before a window was measured. */
  first_tail_ms: ms.default(FIRST_TAIL_MS),
  /** A generator is dead when nothing was heard of it for this long, by the server's clock. */
  presence_ms: ms.min(1_000).default(4_000),
  /** A role is free again when its holder was silent for this long. */
  lease_ms: ms.min(1_000).default(4_000),
})

/** What a rehearsal on one machine starts besides the fleet: never part of a real one. */
const local = z.strictObject({
  nats_port: port.optional(),
  devchain_port: port.optional(),
  block_ms: ms.optional(),
  s3_port: port.optional(),
})

export const configSchema = z.strictObject({
  fleet: fleet.prefault({}),
  nats: nats.prefault({}),
  chain: chain.prefault({}),
  wallet: wallet.prefault({}),
  bucket: bucket.prefault({}),
  checkpoint: checkpoint.prefault({}),
  environment: environment.prefault({}),
  engine: engine.prefault({}),
  policy: policy.prefault({}),
  hosts: z.array(host).default([]),
  local: local.prefault({}),
})

/** The whole fleet in one value: parsed, complete, frozen. */
export type Config = z.infer<typeof configSchema>
export type { GeneratorConfig } from './generators.js'
export type { HostConfig } from './host.js'

/** Keys whose values are never shown. */
export const SECRET_KEYS: ReadonlySet<string> = new Set([
  'nats.password',
  'bucket.secret_access_key',
  'bucket.read_secret_access_key',
])

/** Secrets that may not stand in grail.toml: they come from the environment or from a file of their own. */
export const ENVIRONMENT_ONLY: ReadonlySet<string> = SECRET_KEYS

/** Environment names that override a value; those of the GRAIL guide keep their meaning (Agile-Ascent-Limited/Grail docs/8xA100-MINING-GUIDE.md, c66a3e4). */
export const ENVIRONMENT_NAMES: Readonly<Record<string, string>> = {
  GRAIL_NATS_URL: 'nats.servers',
  GRAIL_NATS_USER: 'nats.user',
  GRAIL_NATS_PASSWORD: 'nats.password',
  BT_CHAIN_ENDPOINT: 'chain.endpoints',
  NETUID: 'chain.netuid',
  BT_WALLET_PATH: 'wallet.path',
  BT_WALLET_COLD: 'wallet.cold',
  BT_WALLET_HOT: 'wallet.hot',
  HOTKEY_PASSWORD_FILE: 'wallet.password_file',
  R2_ENDPOINT_URL: 'bucket.endpoint',
  R2_REGION: 'bucket.region',
  R2_BUCKET_ID: 'bucket.name',
  R2_ACCOUNT_ID: 'bucket.account_id',
  R2_WRITE_ACCESS_KEY_ID: 'bucket.access_key_id',
  R2_WRITE_SECRET_ACCESS_KEY: 'bucket.secret_access_key',
  R2_READ_ACCESS_KEY_ID: 'bucket.read_access_key_id',
  R2_READ_SECRET_ACCESS_KEY: 'bucket.read_secret_access_key',
  GRAIL_LOG_LEVEL: 'fleet.log_level',
  GRAIL_ENGINE: 'engine.name',
}
