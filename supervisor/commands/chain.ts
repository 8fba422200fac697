import { parseArgs } from 'node:util'
import type { PolkadotChain } from '../../src/chain/polkadot.js'
import { timeOut } from '../../src/time-out.js'
import { loadConfig } from '../config/load.js'
import { untilStopped } from '../shutdown.js'
import { commitVerb } from './chain-commit.js'
import { neuronsVerb } from './chain-neurons.js'
import { statusVerb } from './chain-status.js'
import type { ChainVerb } from './chain-verb.js'
import type { CommandIo } from './io.js'

const USAGE = `usage: grail chain status  [--config grail.toml] [--json] [--hotkey SS58]
       grail chain neurons [--config grail.toml] [--json]
       grail chain commit  [--config grail.toml] [--json] [--dry-run] [--yes]`

/** A person waits this long for a connection, ms. */
const CONNECT_LIMIT_MS = 30_000

const VERBS: Record<string, (verb: ChainVerb) => Promise<number>> = {
  status: statusVerb,
  neurons: neuronsVerb,
  commit: commitVerb,
}

/**
 * `grail chain status|neurons|commit`: looks at the subnet, and commits the bucket's read credentials. Throws ChainError,
 * WalletError and ConfigError, whose messages are for the operator.
 * @param args what follows `grail chain`
 * @returns the exit code: 0 all is well, 1 refused or not as it should be, 2 wrong use
 */
export async function chainCommand(
  args: string[],
  io: CommandIo,
  signal: AbortSignal = untilStopped(),
): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    options: {
      config: { type: 'string', default: 'grail.toml' },
      json: { type: 'boolean', default: false },
      'dry-run': { type: 'boolean', default: false },
      yes: { type: 'boolean', default: false },
      hotkey: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  })
  if (values.help) {
    io.out(USAGE)
    return 0
  }
  const verb = positionals.length === 1 ? VERBS[positionals[0] as string] : undefined
  if (!verb) {
    io.err(USAGE)
    return 2
  }
  const loaded = loadConfig(values.config, io.env)
  const { endpoints, genesis } = loaded.config.chain
  const { openChain } = await import('../../src/chain/polkadot.js')
  const { ChainError } = await import('../../src/chain/chain-error.js')
  const chain = openChain({ endpoints, ...(genesis === '' ? {} : { genesis }) })
  const failures: string[] = []
  const seconds = CONNECT_LIMIT_MS / 1000
  const listening = listen(chain, signal, why => {
    // A person waits: the first reason is told at once, the last one at the end.
    if (failures.push(why) === 1 && !values.json) io.err(`${why}; trying for ${seconds} s`)
  })
  try {
    await chain.link(AbortSignal.any([signal, timeOut(CONNECT_LIMIT_MS)])).catch((error: unknown) => {
      if (error instanceof ChainError || signal.aborted) throw error
      const why = failures.at(-1) ?? 'no endpoint answers'
      throw new ChainError('not-connected', `no chain within ${seconds} s: ${why}`, 'later')
    })
    return await verb({
      loaded,
      chain,
      io,
      json: values.json,
      dryRun: values['dry-run'],
      yes: values.yes,
      hotkey: values.hotkey,
      signal,
    })
  } finally {
    await chain.close()
    await listening
  }
}

async function listen(chain: PolkadotChain, signal: AbortSignal, onDown: (why: string) => void): Promise<void> {
  for await (const event of chain.events(signal)) if (event.kind === 'down') onDown(event.why)
}
