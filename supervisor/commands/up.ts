import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureStreams } from '../../actors/ensure.js'
import type { Broker } from '../../nats/index.js'
import { bundledGsm8kFolder } from '../../src/environment/dataset/dataset.js'
import { packageRoot } from '../../src/package-root.js'
import { timeOut } from '../../src/time-out.js'
import { createRehearsalWallet } from '../../src/wallet/wallet.js'
import { ConfigError } from '../config/config-error.js'
import { type LoadedConfig, loadConfig } from '../config/load.js'
import { brokerOf, bucketOf, hostOf } from '../from-inventory.js'
import { rehearsalCheckpointFolder } from '../rehearsal/checkpoint.js'
import { readIfThere, writePrivate } from '../rehearsal/files.js'
import { type Followed, followToFile } from '../rehearsal/follow.js'
import { inventoryText, rehearsalPaths } from '../rehearsal/inventory.js'
import { type BucketKind, type EngineName, planFor } from '../rehearsal/plan.js'
import { freePort } from '../rehearsal/ports.js'
import { programStates, startSupervisord, supervisorctl, supervisordPid } from '../rehearsal/supervisorctl.js'
import { natsConfigText, programPath, supervisorText } from '../render/render.js'
import type { LocalProgram } from '../render/supervisord.js'
import { untilStopped } from '../shutdown.js'
import type { CommandIo } from './io.js'

const USAGE = `usage: grail up [--engine rehearsal|transformers] [--bucket s3|dir] [--generators N] [--block-ms MS] [--pace-ms MS] [--state .grail]

Starts a fleet on this machine under supervisord (nats-server, development chain, local bucket, actors), follows it until
the file of one window is in the bucket and validated, and leaves it running until "grail down".`

const NATS_PORT = 4222
const DEVCHAIN_PORT = 9944
const S3_PORT = 9000
/** The first window may be missed when a machine is slow to start: the third one is the last that is waited for. */
const WINDOWS_WAITED = 3
const WINDOW_BLOCKS = 30
/** Everything but the windows themselves: processes starting, an engine loading its weights. */
const START_MS = 120_000
/** supervisord starts its programs in the order of their priority; the broker comes first. */
const PRIORITY = { nats: 10, devchain: 20, s3: 20 } as const

/** `grail up`: a rehearsal fleet from nothing to a validated window file. */
export async function upCommand(args: string[], io: CommandIo): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      engine: { type: 'string', default: 'rehearsal' },
      bucket: { type: 'string', default: 's3' },
      generators: { type: 'string' },
      'block-ms': { type: 'string' },
      'pace-ms': { type: 'string' },
      state: { type: 'string', default: '.grail' },
      help: { type: 'boolean' },
    },
  })
  if (values.help) {
    io.out(USAGE)
    return 0
  }
  const engine = oneOf<EngineName>('--engine', values.engine, ['rehearsal', 'transformers'])
  const bucket = oneOf<BucketKind>('--bucket', values.bucket, ['s3', 'dir'])
  const plan = planFor(engine)
  const generators = whole('--generators', values.generators, plan.generators)
  const blockMs = whole('--block-ms', values['block-ms'], plan.blockMs)
  const paceMs = whole('--pace-ms', values['pace-ms'], plan.paceMs)
  const state = resolve(values.state)
  const paths = rehearsalPaths(state)
  mkdirSync(paths.logs, { recursive: true, mode: 0o700 })
  mkdirSync(paths.bucket, { recursive: true, mode: 0o700 })
  if (supervisordPid(state) !== undefined) {
    io.out('a fleet of this folder is already running: it is stopped first')
    const { downCommand } = await import('./down.js')
    if ((await downCommand(['--state', state], io)) !== 0) return 1
  }

  io.out('preparing a rehearsal:')
  const wallet = join(paths.wallets, 'rehearsal', 'hotkeys', 'default')
  if (!existsSync(wallet)) await createRehearsalWallet(paths.wallets, { cold: 'rehearsal', hot: 'default' })
  const { ss58Address } = JSON.parse(readFileSync(wallet, 'utf8')) as { ss58Address: string }
  io.out(`  hotkey       ${ss58Address} (for rehearsals only)`)
  const checkpointFolder = await rehearsalCheckpointFolder(engine, paths.checkpoints, line =>
    io.out(`  checkpoint   ${line}`),
  )

  const taken = new Set<number>()
  const port = async (usual: number) => {
    const found = await freePort(usual, taken)
    taken.add(found)
    return found
  }
  const natsPort = await port(NATS_PORT)
  const devchainPort = await port(DEVCHAIN_PORT)
  const s3Port = await port(S3_PORT)
  const accessKeyId = 'rehearsal'
  const secretAccessKey = readIfThere(paths.s3Secret)?.trim() ?? randomBytes(20).toString('hex')
  writePrivate(paths.s3Secret, secretAccessKey)
  writePrivate(`${paths.s3Secret}.json`, JSON.stringify({ accessKeyId, secretAccessKey }))
  writePrivate(
    paths.inventory,
    inventoryText({
      engine,
      bucket,
      generators,
      blockMs,
      paceMs,
      natsPort,
      devchainPort,
      s3Port,
      accessKeyId,
      checkpointFolder,
      python: join(packageRoot, '.venv', 'bin', 'python'),
      // Questions that come with the program, so that a machine without a hub has real ones, too.
      datasets: engine === 'transformers' ? dirname(bundledGsm8kFolder()) : '',
      threads: 0,
    }),
  )
  const loaded = loadConfig(paths.inventory, {})
  const host = hostOf(loaded, 'localhost')
  // A rehearsal begins anew: windows of an earlier chain mean nothing on this one.
  rmSync(join(state, 'nats'), { recursive: true, force: true })
  writePrivate(paths.nats, natsConfigText(loaded, host))
  writePrivate(
    paths.supervisord,
    supervisorText(loaded, host, localPrograms({ bucket, blockMs, devchainPort, s3Port, ss58Address, paths })),
  )
  io.out(`  inventory    ${relative(process.cwd(), paths.inventory)}`)

  const sinceMs = Date.now()
  const started = startSupervisord(state)
  if (started.code !== 0) throw new ConfigError(`supervisord did not start: ${started.text}`)
  io.out(`  started      supervisord with ${generators} generators; stop it by "make down"`)
  io.out(
    `  watch        nats sub grail.summary   (port ${natsPort}), or: npx grail status --follow --config ${relative(process.cwd(), paths.inventory)}`,
  )
  io.out('')

  const stopped = untilStopped()
  const limit = timeOut(START_MS + WINDOWS_WAITED * WINDOW_BLOCKS * blockMs)
  const signal = AbortSignal.any([stopped, limit])
  let broker: Broker | undefined
  let followed: Followed
  try {
    broker = await brokerOf(loaded, 'grail up', signal)
    // Whoever comes first makes the streams; here that may be us.
    await ensureStreams(broker, {
      replicas: loaded.config.nats.replicas,
      presenceMs: loaded.config.policy.presence_ms,
      leaseMs: loaded.config.policy.lease_ms,
      signal,
    })
    followed = await followToFile(broker, { signal, sinceMs, say: line => io.out(line) })
  } catch (error) {
    explain(state, paths.logs, io)
    if (stopped.aborted)
      throw new ConfigError('stopped before a window was done; the fleet is still running ("make down")')
    if (limit.aborted) throw new ConfigError('no window was uploaded in time: the states and logs above tell more')
    throw error
  } finally {
    await broker?.drain().catch(() => {})
  }
  return fetchAndValidate(loaded, followed, paths.windows, checkpointFolder, io)
}

function localPrograms(of: {
  bucket: BucketKind
  blockMs: number
  devchainPort: number
  s3Port: number
  ss58Address: string
  paths: ReturnType<typeof rehearsalPaths>
}): LocalProgram[] {
  const devchain = [
    process.execPath,
    programPath(),
    'devchain',
    '--port',
    String(of.devchainPort),
    '--block-ms',
    String(of.blockMs),
    '--register',
    of.ss58Address,
    // The first window opens two blocks after the start, when the fleet is there.
    '--start-block',
    String(FIRST_BLOCK),
  ]
  return [
    { name: 'nats', command: ['nats-server', '--config', of.paths.nats], priority: PRIORITY.nats },
    { name: 'devchain', command: devchain, priority: PRIORITY.devchain },
    ...(of.bucket === 's3'
      ? [
          {
            name: 's3',
            command: [
              join(packageRoot, '.venv-s3', 'bin', 'python'),
              join(packageRoot, 'supervisor', 'local-s3.py'),
              '--port',
              String(of.s3Port),
              '--bucket',
              'rehearsal',
              '--credentials',
              `${of.paths.s3Secret}.json`,
            ],
            priority: PRIORITY.s3,
          },
        ]
      : []),
  ]
}

/** Two blocks before a window, far enough from 0 that numbers look like a chain's. */
const FIRST_BLOCK = 2_998

async function fetchAndValidate(
  loaded: LoadedConfig,
  window: Followed,
  folder: string,
  checkpointFolder: string,
  io: CommandIo,
): Promise<number> {
  if (window.key === undefined) throw new ConfigError('the window was summarised without an object')
  const bucket = await bucketOf(loaded)
  const bytes = await bucket.get(window.key, timeOut(START_MS))
  bucket.close()
  mkdirSync(folder, { recursive: true })
  const file = join(folder, basename(window.key))
  writeFileSync(`${file}.partial`, bytes)
  renameSync(`${file}.partial`, file)
  const { validateCommand } = await import('./validate.js')
  io.out('')
  const code = await validateCommand(
    [
      file,
      '--hotkey',
      window.hotkey,
      '--window',
      String(window.window),
      '--hash',
      window.hash,
      '--checkpoint',
      checkpointFolder,
      ...(loaded.config.environment.datasets === '' ? [] : ['--datasets', loaded.config.environment.datasets]),
    ],
    io,
  )
  io.out('')
  if (code === 0) io.out(`validated: ${file}`)
  else io.err(`not valid: ${file}`)
  io.out('the fleet keeps running; "make down" stops it')
  return code
}

/** What a person needs to see when nothing came: who is not running, and the last words of those. */
function explain(state: string, logs: string, io: CommandIo): void {
  const LAST_LINES = 5
  for (const { name, state: is, detail } of programStates(state)) {
    io.err(`  ${name.padEnd(24)} ${is} ${detail}`)
    if (is === 'RUNNING') continue
    const log = readIfThere(join(logs, `${name.split(':').at(-1)}.log`)) ?? ''
    for (const line of log.trim().split('\n').slice(-LAST_LINES)) io.err(`      ${line}`)
  }
  const all = supervisorctl(state, 'status')
  if (all.text === '') io.err('supervisorctl does not answer')
}

function oneOf<T extends string>(option: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find(candidate => candidate === value)
  if (!found) throw new ConfigError(`${option} ${value}: choose ${allowed.join(' or ')}`)
  return found
}

function whole(option: string, value: string | undefined, otherwise: number): number {
  if (value === undefined) return otherwise
  const number = Number(value)
  if (!Number.isInteger(number) || number < 1)
    throw new ConfigError(`${option} ${value}: a whole number from 1 on is needed`)
  return number
}
