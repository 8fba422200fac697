import { join } from 'node:path'
import type { Log } from '../actors/actor.js'
import { type GpuInventory, gpuProcesses } from '../src/engine/gpus.js'
import { type Engine, openEngine } from '../src/engine/index.js'
import type { ServedOptions } from '../src/engine/served.js'
import type { Profile } from '../src/protocol/profile.js'
import { ConfigError } from './config/config-error.js'
import type { GeneratorConfig } from './config/generators.js'
import { type LoadedConfig, pathFrom } from './config/load.js'
import { numbered, visibleGpus } from './gpus.js'

/** Of our own environment an engine's children get these and no others. */
const PASSED_ON = ['PATH', 'HOME', 'LD_LIBRARY_PATH', 'CUDA_HOME']

/** What a child sees: the cards it was given, numbered as nvidia-smi numbers them. */
function childEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  cards: readonly string[],
): Record<string, string> {
  const passedOn = PASSED_ON.flatMap(name => {
    const value = env[name]
    return value === undefined ? [] : [[name, value]]
  })
  return {
    ...(Object.fromEntries(passedOn) as Record<string, string>),
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    CUDA_VISIBLE_DEVICES: cards.join(','),
  }
}

/** Groups a generation server is asked for at once: where it starts, and the most that is tried. */
const FIRST_LANES = 3
const MOST_LANES = 16
/** Share of its GPUs' memory a server takes when nothing proves there (one-covenant/grail, mem-fraction-static, 54d6342). */
const ALONE_SHARE = 0.9
/** The log of a generation server: as much as the generator's own. */
const LOG_BYTES = 50 * 1024 * 1024
const LOG_BACKUPS = 5

/** Most groups a generator keeps in flight on its engine. */
export function lanesOf({ name, lanes }: LoadedConfig['config']['engine']): number {
  if (lanes > 0) return lanes
  return name === 'sglang' || name === 'vllm' ? MOST_LANES : 1
}

type ServedEngineConfig = Pick<LoadedConfig['config']['engine'], 'name' | 'tensor_parallel' | 'memory_share' | 'attach'>

/** Over how many GPUs the server splits the model, and how much of their memory it takes; undefined: its own choice. */
function shareOfGpus(
  e: ServedEngineConfig,
  { gpus }: GeneratorConfig,
): { tensorParallel: number; memoryShare: number | undefined } {
  const cards = gpus.generate.length
  if (e.tensor_parallel > Math.max(1, cards))
    throw new ConfigError(
      `engine.tensor_parallel is ${e.tensor_parallel}, but a generator has ${cards} cards to generate on: leave it out to take all of them`,
    )
  const alone = cards > 0 && !gpus.prove.flat().some(card => gpus.generate.includes(card))
  return {
    tensorParallel: e.tensor_parallel === 0 ? Math.max(1, cards) : e.tensor_parallel,
    memoryShare: e.memory_share === 0 ? (alone ? ALONE_SHARE : undefined) : e.memory_share,
  }
}

export interface EngineCircumstances {
  profile: Profile
  /** Names the engine's record, caches and log on this host. */
  instance: string
  log: Log
  /** Of this process. */
  env: Readonly<Record<string, string | undefined>>
  generator: GeneratorConfig
  /** How this machine's cards are found; absent: nvidia-smi is asked. */
  readGpus?: () => Promise<GpuInventory>
}

/**
 * What the inventory makes of an engine on a generation server: which cards its server sees, which each proof worker.
 * @throws ConfigError when the inventory asks for more than the generator has
 */
export async function servedOptions({ config, folder }: LoadedConfig, of: EngineCircumstances): Promise<ServedOptions> {
  const { profile, instance, log, env, generator } = of
  const e = config.engine
  const state = pathFrom(folder, config.fleet.state)
  const cards = visibleGpus(generator, env.CUDA_VISIBLE_DEVICES)
  const { tensorParallel, memoryShare } = shareOfGpus(e, generator)
  const serverCards = await numbered(cards.generate, of.readGpus)
  // On a CPU one worker proves.
  const provers = cards.prove.length === 0 ? [[]] : cards.prove
  return {
    profile,
    name: instance,
    stateFolder: join(state, 'engine'),
    provers: provers.map(seen => ({ ...workerOptions({ config, folder }, childEnvironment(env, seen)) })),
    onLog: line => log.info({ worker: true }, line),
    logFile: { file: join(state, 'log', `${instance}.server.log`), bytes: LOG_BYTES, backups: LOG_BACKUPS },
    gpuProcesses: () => gpuProcesses(),
    groups: { start: Math.min(FIRST_LANES, lanesOf(e)), most: lanesOf(e) },
    ...(e.context_length === 0 ? {} : { contextLength: e.context_length }),
    ...(e.attach !== ''
      ? { attach: { url: e.attach } }
      : {
          start: {
            program: pathFrom(folder, e.program),
            extraArgs: e.extra_args,
            env: childEnvironment(env, serverCards),
            tensorParallel,
            ...(memoryShare === undefined ? {} : { memoryShare }),
          },
        }),
  }
}

function workerOptions({ config, folder }: Pick<LoadedConfig, 'config' | 'folder'>, env: Record<string, string>) {
  const e = config.engine
  return {
    python: pathFrom(folder, e.python),
    env,
    attention: e.attention,
    ...(e.device === 'auto' ? {} : { device: e.device }),
    ...(e.threads === 0 ? {} : { threads: e.threads }),
  }
}

/** The engine the inventory names, for one generator; nothing is started yet. @throws ConfigError as servedOptions */
export async function engineOf(loaded: LoadedConfig, of: EngineCircumstances): Promise<Engine> {
  const { profile, log, env, generator } = of
  const e = loaded.config.engine
  if (e.name === 'rehearsal') return openEngine('rehearsal', { profile, paceMs: e.pace_ms })
  if (e.name === 'sglang') return openEngine('sglang', await servedOptions(loaded, of))
  if (e.name === 'vllm') return openEngine('vllm', { ...(await servedOptions(loaded, of)), weights: e.weights })
  const { generate, prove } = visibleGpus(generator, env.CUDA_VISIBLE_DEVICES)
  if (prove.length > 1 || prove.flat().join() !== generate.join())
    throw new ConfigError(
      'the transformers engine generates and proves with one model: give its generators one list of gpus, or take sglang or vllm',
    )
  return openEngine('transformers', {
    profile,
    onLog: line => log.info({ worker: true }, line),
    sampleRows: generator.batch,
    ...workerOptions(loaded, childEnvironment(env, generate)),
  })
}
