import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { BucketError } from '../../src/bucket/bucket.js'
import { parseCheckpointMetadata } from '../../src/checkpoint/record.js'
import { EngineError, type EngineName, engineNames } from '../../src/engine/index.js'
import { type Profile, profileOf } from '../../src/protocol/profile.js'
import { CannotJudge, type JudgeOptions, judgeFile, type Verdict } from '../../src/validation/index.js'
import { readAddress } from '../../src/wallet/address.js'
import { openWindowReader } from '../../src/window/parquet/reader.js'
import type { ByteSource } from '../../src/window/parquet/source.js'
import { ConfigError } from '../config/config-error.js'
import { type LoadedConfig, loadConfig, pathFrom } from '../config/load.js'
import { untilStopped } from '../shutdown.js'
import { type FromChain, fromChain } from '../validate/from-chain.js'
import { type Means, openMeans } from '../validate/means.js'
import { verdictLines } from '../validate/show.js'
import { type Judged, judgedOf, NothingToJudge } from '../validate/sources.js'
import type { CommandIo } from './io.js'

const USAGE = `usage: grail validate FILE|DIR|s3://BUCKET/KEY … [options]

What the validator would say about window files. What is not given is taken from the inventory, where there is one: hotkey,
hash from its chain, its checkpoint when the file was made with it, its data sets. What cannot be had is not judged, and the
answer says so.

  --hotkey SS58        whose files they must be
  --window W           which window they must be of
  --hash 0x…           hash of block W
  --checkpoint FOLDER  metadata and tokenizer of the checkpoint: judges prompts, rewards, lengths
  --engine NAME        ${engineNames.join(' or ')}: replays proofs with the checkpoint's weights; files of a rehearsal need no saying
  --challenge HEX      the validator's randomness: judges only the rows and positions it opens; 'chain' takes block W+30's
  --datasets FOLDER    data sets of the environment, instead of the hub's
  --python PATH        Python of the engine and of judges
  --profile ID         protocol profile, grail-v5 unless given
  --config FILE        inventory with endpoint and keys of the bucket, grail.toml unless given
  --json               one JSON line per file

exit code: 0 all accepted, 1 some not accepted, 2 something could not be judged`

const ACCEPTED = 0
const NOT_ACCEPTED = 1
const NOT_JUDGED = 2

/** `grail validate`: the validator's verdict on window files, before the validator gives it. */
export async function validateCommand(
  args: string[],
  io: CommandIo,
  signal: AbortSignal = untilStopped(),
): Promise<number> {
  let parsed: Parsed | undefined
  try {
    parsed = parse(args, io)
  } catch (error) {
    io.err(`grail validate: ${(error as Error).message}`)
    return NOT_JUDGED
  }
  if (!parsed) {
    io.out(USAGE)
    return ACCEPTED
  }
  const { values, files, profile, config } = parsed
  const bench = new Workbench(parsed, io, signal)
  let code = ACCEPTED
  try {
    for (const argument of files) {
      for (const judged of await judgedOf(argument, config, signal)) {
        try {
          const verdict = await judge(judged, bench, { ...parsed.expected, profile }, signal)
          if (values.json) io.out(JSON.stringify({ file: judged.name, ...verdict }))
          else for (const line of verdictLines(judged.name, verdict)) io.out(line)
          if (verdict.verdict !== 'accepted') code = Math.max(code, NOT_ACCEPTED)
        } catch (error) {
          if (!cannotJudge(error)) throw error
          if (values.json) io.out(JSON.stringify({ file: judged.name, error: error.message }))
          io.err(`grail validate: ${judged.name} cannot be judged: ${error.message}`)
          code = NOT_JUDGED
        }
      }
    }
  } catch (error) {
    if (!cannotJudge(error)) throw error
    io.err(`grail validate: ${error.message}`)
    code = NOT_JUDGED
  } finally {
    await bench.close()
  }
  return code
}

function cannotJudge(error: unknown): error is Error {
  return [CannotJudge, NothingToJudge, ConfigError, BucketError, EngineError].some(kind => error instanceof kind)
}

interface Parsed {
  values: Record<string, string | boolean | undefined>
  files: string[]
  profile: Profile
  expected: Pick<JudgeOptions, 'hotkey' | 'window' | 'windowHash' | 'challengeRandomness'>
  /** Read when something in it is needed. */
  config(): LoadedConfig
}

/** @throws Error with one sentence; undefined when help was asked for */
function parse(args: string[], io: CommandIo): Parsed | undefined {
  const text = { type: 'string' } as const
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      hotkey: text,
      window: text,
      hash: text,
      checkpoint: text,
      engine: text,
      challenge: text,
      datasets: text,
      python: text,
      profile: { type: 'string', default: 'grail-v5' },
      config: { type: 'string', default: 'grail.toml' },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  if (values.help) return undefined
  if (positionals.length === 0)
    throw new Error('name a file, a folder or s3://BUCKET/KEY ("grail validate --help" tells more)')
  const { window, hash, engine, challenge } = values
  if (window !== undefined && !/^\d{1,15}$/.test(window)) throw new Error(`--window ${window} is no block number`)
  if (hash !== undefined && !/^0x[0-9a-fA-F]+$/.test(hash))
    throw new Error(`--hash ${hash} is no hash: hex with 0x in front`)
  if (challenge !== undefined && challenge !== 'chain' && !/^(0x)?[0-9a-fA-F]+$/.test(challenge))
    throw new Error(`--challenge ${challenge} is neither hex nor "chain"`)
  if (engine !== undefined && !engineNames.includes(engine as EngineName))
    throw new Error(`there is no engine "${engine}": ${engineNames.join(', ')}`)
  let loaded: LoadedConfig | undefined
  return {
    values,
    files: positionals,
    profile: profileOf(values.profile),
    expected: {
      hotkey: values.hotkey,
      window: window === undefined ? undefined : Number(window),
      windowHash: hash,
      challengeRandomness: challenge,
    },
    config: () => {
      loaded ??= loadConfig(values.config, io.env)
      return loaded
    },
  }
}

async function judge(
  judged: Judged,
  bench: Workbench,
  options: Omit<JudgeOptions, 'verify'>,
  signal: AbortSignal,
): Promise<Verdict> {
  const { source, close } = await judged.open(signal)
  try {
    const facts = await factsOf(source)
    const filled = await bench.fill(facts, options)
    const means = await bench.means(facts)
    const verdict = await judgeFile(source, { ...options, ...filled.options, ...means.options, signal })
    return { ...verdict, unjudged: [...verdict.unjudged, ...means.missing, ...filled.missing] }
  } finally {
    await close()
  }
}

/** What a file says about itself, as far as it can be read; what cannot is for the judge to say. */
interface FileFacts {
  rehearsal: boolean
  window: number | undefined
  /** Of its first row. */
  checkpointWindow: number | undefined
}

async function factsOf(source: ByteSource): Promise<FileFacts> {
  const facts: FileFacts = { rehearsal: false, window: undefined, checkpointWindow: undefined }
  try {
    const reader = await openWindowReader(source)
    const header = reader.header()
    facts.rehearsal = header.rehearsal
    facts.window = header.windowStart
    for await (const [row] of reader.batches(new Set(['checkpoint_window']))) {
      facts.checkpointWindow = Number(row?.checkpoint_window)
      break
    }
  } catch {
    // The judge reads the file again and says what is wrong with it.
  }
  return facts
}

/** Opens the means once for all files; a rehearsal's own engine when a file turns out to be one. */
class Workbench {
  readonly #parsed: Parsed
  readonly #io: CommandIo
  readonly #signal: AbortSignal
  readonly #opened = new Map<string, Promise<Means>>()
  #chain: FromChain | undefined
  #broken = false

  constructor(parsed: Parsed, io: CommandIo, signal: AbortSignal) {
    this.#parsed = parsed
    this.#io = io
    this.#signal = signal
  }

  /** What the caller did not give and the inventory knows: whose file it must be, and the hashes from its chain. */
  async fill(
    { window }: FileFacts,
    given: Pick<JudgeOptions, 'hotkey' | 'window' | 'windowHash' | 'challengeRandomness'>,
  ): Promise<{ options: typeof given; missing: string[] }> {
    const options: typeof given = {}
    const missing: string[] = []
    const wanted = given.window ?? window
    const loaded = this.#inventory()
    if (loaded) {
      const { path, cold, hot } = loaded.config.wallet
      if (given.hotkey === undefined)
        options.hotkey = await readAddress({ path: pathFrom(loaded.folder, path), cold, hot }).catch(() => undefined)
      if (wanted !== undefined && (given.windowHash === undefined || given.challengeRandomness === 'chain')) {
        this.#chain ??= fromChain(loaded, this.#signal)
        if (given.windowHash === undefined) {
          const found = await this.#chain.hash(wanted)
          if ('hash' in found) options.windowHash = found.hash
          else missing.push(found.why)
        }
        if (given.challengeRandomness === 'chain') {
          const found = await this.#chain.challenge(wanted)
          if ('why' in found) throw new CannotJudge(`--challenge chain: ${found.why}`)
          options.challengeRandomness = found.randomness
        }
      }
    }
    if (given.challengeRandomness === 'chain' && options.challengeRandomness === undefined)
      throw new CannotJudge('--challenge chain needs an inventory with chain endpoints (--config)')
    return { options, missing }
  }

  means({ rehearsal, checkpointWindow }: FileFacts): Promise<Means> {
    const { values, profile } = this.#parsed
    const given = values.engine as EngineName | undefined
    const checkpointFolder = (values.checkpoint as string | undefined) ?? this.#checkpointOf(checkpointWindow, profile)
    const engine = given ?? (rehearsal && checkpointFolder !== undefined ? 'rehearsal' : undefined)
    const key = `${engine ?? ''} ${checkpointFolder ?? ''}`
    const opened = this.#opened.get(key)
    if (opened) return opened
    const opening = openMeans({
      profile,
      checkpointFolder,
      engine,
      python: values.python as string | undefined,
      datasetFolder: (values.datasets as string | undefined) ?? this.#datasets(),
      stateFolder: this.#stateFolder(),
      signal: this.#signal,
    })
    this.#opened.set(key, opening)
    return opening
  }

  /** The inventory's checkpoint, when the file was made with it; another one would only find fault. */
  #checkpointOf(window: number | undefined, profile: Profile): string | undefined {
    const loaded = this.#inventory()
    if (!loaded || loaded.config.checkpoint.folder === '' || window === undefined) return undefined
    const folder = pathFrom(loaded.folder, loaded.config.checkpoint.folder)
    try {
      const metadata = parseCheckpointMetadata(JSON.parse(readFileSync(join(folder, 'metadata.json'), 'utf8')), profile)
      return metadata.window === window ? folder : undefined
    } catch {
      return undefined
    }
  }

  #datasets(): string | undefined {
    const loaded = this.#inventory()
    return loaded && loaded.config.environment.datasets !== ''
      ? pathFrom(loaded.folder, loaded.config.environment.datasets)
      : undefined
  }

  async close(): Promise<void> {
    await this.#chain?.close()
    for (const opened of this.#opened.values())
      await opened.then(
        means => means.close(),
        () => undefined,
      )
  }

  /** Where data sets are kept: beside the fleet's, when there is an inventory. */
  #stateFolder(): string {
    const loaded = this.#inventory()
    return loaded ? join(pathFrom(loaded.folder, loaded.config.fleet.state), 'datasets') : join('.grail', 'datasets')
  }

  /** The inventory, where there is a usable one; a broken one is said and done without. */
  #inventory(): LoadedConfig | undefined {
    const { values, config } = this.#parsed
    if (this.#broken || !existsSync(String(values.config))) return undefined
    try {
      return config()
    } catch (error) {
      this.#broken = true
      this.#io.err(`grail validate: ${(error as Error).message}`)
      return undefined
    }
  }
}
