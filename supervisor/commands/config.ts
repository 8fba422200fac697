import { parseArgs } from 'node:util'
import { readGpus } from '../../src/engine/gpus.js'
import { exampleText } from '../config/example.js'
import { loadConfig } from '../config/load.js'
import { showConfig } from '../config/show.js'
import type { CommandIo } from './io.js'

/** `grail config`: every value with its origin, secrets masked; or an inventory to start from, with this machine's cards. */
export async function configCommand(args: string[], io: CommandIo): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: 'string', default: 'grail.toml' },
      example: { type: 'boolean' },
      'nvidia-smi': { type: 'string', default: 'nvidia-smi' },
      help: { type: 'boolean' },
    },
  })
  if (values.help) {
    io.out('usage: grail config [--config grail.toml] | --example [--nvidia-smi PROGRAM]')
    return 0
  }
  if (values.example) {
    io.out(exampleText(await readGpus(values['nvidia-smi'])))
    return 0
  }
  for (const line of showConfig(loadConfig(values.config, io.env))) io.out(line)
  return 0
}
