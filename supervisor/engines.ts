import { join } from 'node:path'
import type { Log } from '../actors/actor.js'
import { gpuProcesses } from '../src/engine/gpus.js'
import { type Engine, openEngine } from '../src/engine/index.js'
import type { Profile } from '../src/protocol/profile.js'
import { type LoadedConfig, pathFrom } from './config/load.js'

/** Of our own environment an engine's children get these and no others. */
const PASSED_ON = ['PATH', 'HOME', 'CUDA_VISIBLE_DEVICES', 'LD_LIBRARY_PATH', 'CUDA_HOME']

function passedOn(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    PASSED_ON.flatMap(name => {
      const value = env[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )
}

/** Groups a generation server is asked for at once: where it starts, and the most that is tried. */
const FIRST_LANES = 3
const MOST_LANES = 16

/** Most groups a generator keeps in flight on its engine. */
export function lanesOf({ name, lanes }: LoadedConfig['config']['engine']): number {
  if (lanes > 0) return lanes
  return name === 'sglang' || name === 'vllm' ? MOST_LANES : 1
}

/** The engine the inventory names, for one generator; nothing is started yet. */
export function engineOf(
  { config, folder }: LoadedConfig,
  of: { profile: Profile; instance: string; log: Log; env: Readonly<Record<string, string | undefined>> },
): Engine {
  const { profile, instance, log } = of
  const e = config.engine
  const env = passedOn(of.env)
  const onLog = (line: string) => log.info({ worker: true }, line)
  const worker = {
    python: pathFrom(folder, e.python),
    env,
    ...(e.device === 'auto' ? {} : { device: e.device }),
    ...(e.threads === 0 ? {} : { threads: e.threads }),
  }
  if (e.name === 'rehearsal') return openEngine('rehearsal', { profile, paceMs: e.pace_ms })
  if (e.name === 'transformers') return openEngine('transformers', { profile, onLog, ...worker })
  return openEngine(e.name, {
    profile,
    name: instance,
    stateFolder: join(pathFrom(folder, config.fleet.state), 'engine'),
    provers: [worker],
    onLog,
    gpuProcesses: () => gpuProcesses(),
    groups: { start: Math.min(FIRST_LANES, lanesOf(e)), most: lanesOf(e) },
    ...(e.context_length === 0 ? {} : { contextLength: e.context_length }),
    ...(e.attach !== ''
      ? { attach: { url: e.attach } }
      : {
          start: {
            program: pathFrom(folder, e.program),
            extraArgs: e.extra_args,
            env,
            tensorParallel: e.tensor_parallel,
            ...(e.memory_share === 0 ? {} : { memoryShare: e.memory_share }),
          },
        }),
  })
}
