import { parseArgs } from 'node:util'
import { runAggregator } from '../../actors/aggregator/aggregator.js'
import { runController } from '../../actors/controller/controller.js'
import { runGenerator } from '../../actors/generator/generator.js'
import { runUploader } from '../../actors/uploader/uploader.js'
import { aggregatorParts, type Composition, controllerParts, generatorParts, uploaderParts } from '../compose.js'
import { ConfigError } from '../config/config-error.js'
import { loadConfig } from '../config/load.js'
import { hasReadCredentials } from '../config/read-credentials.js'
import { hostOf } from '../from-inventory.js'
import { untilStopped } from '../shutdown.js'
import type { CommandIo } from './io.js'

const USAGE =
  'usage: grail actor controller|aggregator|uploader|generator [--config grail.toml] [--host NAME] [--number N]'

/** Roles and how each is run; adding an actor is one folder under actors/ and one line here. */
const ROLES: Record<string, (of: Composition, number: number, signal: AbortSignal) => Promise<void>> = {
  controller: async (of, _, signal) => {
    const parts = await controllerParts(of)
    await runController(parts, signal).finally(() => parts.chain.close())
    await parts.broker.drain()
  },
  aggregator: async (of, _, signal) => {
    const parts = await aggregatorParts(of)
    const committed = hasReadCredentials(of.loaded)
      ? import('../commitment.js').then(({ keepCommitment }) =>
          keepCommitment(of.loaded, parts.hotkey, parts.log, signal),
        )
      : Promise.resolve()
    await Promise.all([runAggregator(parts, signal), committed])
    await parts.broker.drain()
  },
  uploader: async (of, _, signal) => {
    const parts = await uploaderParts(of)
    await runUploader(parts, signal).finally(() => parts.bucket.close())
    await parts.broker.drain()
  },
  generator: async (of, number, signal) => {
    const parts = await generatorParts(of, number)
    await runGenerator(parts, signal)
    await parts.broker.drain()
  },
}

/** `grail actor ROLE`: one actor in this process, until SIGTERM. Started by supervisord. */
export async function actorCommand(args: string[], io: CommandIo): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      config: { type: 'string', default: 'grail.toml' },
      host: { type: 'string' },
      number: { type: 'string', default: '0' },
      help: { type: 'boolean' },
    },
  })
  const [role] = positionals
  if (values.help) {
    io.out(USAGE)
    return 0
  }
  const run = role === undefined ? undefined : ROLES[role]
  if (!run || positionals.length !== 1) {
    io.err(USAGE)
    return 2
  }
  const number = Number(values.number)
  if (!Number.isInteger(number) || number < 0)
    throw new ConfigError(`--number ${values.number}: a whole number is needed`)
  const loaded = loadConfig(values.config, io.env)
  const signal = untilStopped()
  await run({ loaded, host: hostOf(loaded, values.host), signal }, number, signal)
  return 0
}
