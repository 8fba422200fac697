import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.js'
import { hostOf } from '../from-inventory.js'
import { seenMachine } from '../render/machine.js'
import { natsConfigText, stateFolder, supervisorText } from '../render/render.js'
import type { CommandIo } from './io.js'

const USAGE = 'usage: grail render supervisor|nats [--config grail.toml] [--host NAME] [--nvidia-smi PROGRAM]'

/** `grail render`: the file for this host, on standard output, from the one inventory. */
export async function renderCommand(args: string[], io: CommandIo): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      config: { type: 'string', default: 'grail.toml' },
      host: { type: 'string' },
      'nvidia-smi': { type: 'string', default: 'nvidia-smi' },
      help: { type: 'boolean' },
    },
  })
  const [what] = positionals
  if (values.help) {
    io.out(USAGE)
    return 0
  }
  if (what !== 'supervisor' && what !== 'nats') {
    io.err(USAGE)
    return 2
  }
  const loaded = loadConfig(resolve(values.config), io.env)
  const host = hostOf(loaded, values.host)
  // supervisord does not start without the folder its logs go to, nats-server not without its store's.
  mkdirSync(join(stateFolder(loaded), 'log'), { recursive: true, mode: 0o700 })
  if (what === 'nats') io.out(natsConfigText(loaded, host))
  else io.out(supervisorText(loaded, host, [], await seenMachine(values['nvidia-smi'])))
  return 0
}
