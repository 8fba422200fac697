import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { BucketError } from '../../src/bucket/bucket.js'
import { EngineError, type EngineName, engineNames } from '../../src/engine/index.js'
import { type Profile, profileOf } from '../../src/protocol/profile.js'
import { CannotJudge, type JudgeOptions, judgeFile, type Verdict } from '../../src/validation/index.js'
import { openWindowReader } from '../../src/window/parquet/reader.js'
import type { ByteSource } from '../../src/window/parquet/source.js'
import { ConfigError } from '../config/config-error.js'
import { type LoadedConfig, loadConfig, pathFrom } from '../config/load.js'
import { untilStopped } from '../shutdown.js'
import { type Means, openMeans } from '../validate/means.js'
import { verdictLines } from '../validate/show.js'
import { type Judged, judgedOf, NothingToJudge } from '../validate/sources.js'
import type { CommandIo } from './io.js'

const USAGE = `usage: grail validate FILE|DIR|s3://BUCKET/KEY … [options]

What the validator would say about window files. What is not given is not judged, and the answer says so.

  --hotkey SS58        whose files they must be
  --window W           which window they must be of
  --hash 0x…           hash of block W
  --checkpoint FOLDER  metadata and tokenizer of the checkpoint: judges prompts, rewards, lengths
  --engine NAME        ${engineNames.join(' or ')}: replays proofs with the checkpoint's weights; files of a rehearsal need no saying
  --challenge HEX      the validator's randomness: judges only the rows and positions it opens
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
  if (challenge !== undefined && !/^(0x)?[0-9a-fA-F]+$/.test(challenge))
    throw new Error(`--challenge ${challenge} is not hex`)
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
    const means = await bench.means(await isRehearsal(source))
    const verdict = await judgeFile(source, { ...options, ...means.options, signal })
    return { ...verdict, unjudged: [...verdict.unjudged, ...means.missing] }
  } finally {
    await close()
  }
}

/** Is the file marked as a rehearsal? What cannot be read is for the judge to say. */
async function isRehearsal(source: ByteSource): Promise<boolean> {
  try {
    return (await openWindowReader(source)).header().rehearsal
  } catch {
    return false
  }
}

/** Opens the means once for all files; a rehearsal's own engine when a file turns out to be one. */
class Workbench {
  readonly #parsed: Parsed
  readonly #io: CommandIo
  readonly #signal: AbortSignal
  readonly #opened = new Map<string, Promise<Means>>()

  constructor(parsed: Parsed, io: CommandIo, signal: AbortSignal) {
    this.#parsed = parsed
    this.#io = io
    this.#signal = signal
  }

  means(rehearsal: boolean): Promise<Means> {
    const { values, profile } = this.#parsed
    const given = values.engine as EngineName | undefined
    const engine = given ?? (rehearsal && values.checkpoint !== undefined ? 'rehearsal' : undefined)
    const key = engine ?? ''
    const opened = this.#opened.get(key)
    if (opened) return opened
    const opening = openMeans({
      profile,
      checkpointFolder: values.checkpoint as string | undefined,
      engine,
      python: values.python as string | undefined,
      datasetFolder: values.datasets as string | undefined,
      stateFolder: this.#stateFolder(),
      signal: this.#signal,
    })
    this.#opened.set(key, opening)
    return opening
  }

  async close(): Promise<void> {
    for (const opened of this.#opened.values())
      await opened.then(
        means => means.close(),
        () => undefined,
      )
  }

  /** Where data sets are kept: beside the fleet's, when there is an inventory. */
  #stateFolder(): string {
    const { values, config } = this.#parsed
    if (!existsSync(String(values.config))) return join('.grail', 'datasets')
    try {
      const { config: fleet, folder } = config()
      return join(pathFrom(folder, fleet.fleet.state), 'datasets')
    } catch (error) {
      this.#io.err(`grail validate: ${(error as Error).message}`)
      return join('.grail', 'datasets')
    }
  }
}
