import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.js'
import { showConfig } from '../config/show.js'
import type { CommandIo } from './io.js'

/** `grail config`: every value with its origin, secrets masked. */
export async function configCommand(args: string[], io: CommandIo): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { config: { type: 'string', default: 'grail.toml' }, help: { type: 'boolean' } },
  })
  if (values.help) {
    io.out('usage: grail config [--config grail.toml]')
    return 0
  }
  for (const line of showConfig(loadConfig(values.config, io.env))) io.out(line)
  return 0
}
