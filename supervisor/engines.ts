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
    groups: { start: e.lanes, most: e.lanes },
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
