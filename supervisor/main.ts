#!/usr/bin/env node
import { createInterface } from 'node:readline/promises'

import type { CommandIo } from './commands/io.js'
import { ConfigError } from './config/config-error.js'
import { untilStopped } from './shutdown.js'

interface Verb {
  does: string
  run(args: string[], io: CommandIo): Promise<number>
}

/** Adding a verb is one file in commands/ and one line here. Loaded only when used: a chain library costs half a second. */
const VERBS: Record<string, Verb> = {
  up: {
    does: 'start a rehearsal fleet on this machine and follow it to a validated window',
    run: async (a, io) => (await import('./commands/up.js')).upCommand(a, io),
  },
  down: {
    does: 'stop what "up" started',
    run: async (a, io) => (await import('./commands/down.js')).downCommand(a, io),
  },
  actor: {
    does: 'run one actor in this process: controller, aggregator, uploader or generator',
    run: async (a, io) => (await import('./commands/actor.js')).actorCommand(a, io),
  },
  status: {
    does: 'who is alive, and the last windows',
    run: async (a, io) => (await import('./commands/status.js')).statusCommand(a, io),
  },
  render: {
    does: 'write supervisord.conf or nats.conf for this host: render supervisor|nats',
    run: async (a, io) => (await import('./commands/render.js')).renderCommand(a, io),
  },
  config: {
    does: 'every value with its origin, secrets masked',
    run: async (a, io) => (await import('./commands/config.js')).configCommand(a, io),
  },
  validate: {
    does: "the validator's verdict on a window file",
    run: async (a, io) => (await import('./commands/validate.js')).validateCommand(a, io),
  },
  vectors: {
    does: 'run every protocol vector file of a folder against this build',
    run: async (a, io) => (await import('./commands/vectors.js')).vectorsCommand(a, io.out),
  },
  download: {
    does: "list and fetch a hotkey's window files",
    run: async (a, io) => (await import('./commands/download.js')).downloadCommand(a, io),
  },
  cluster: {
    does: 'measure the NATS servers of the inventory: cluster bench',
    run: async (a, io) => (await import('./commands/cluster.js')).clusterCommand(a, io),
  },
  wallet: {
    does: 'make a wallet for rehearsals: wallet new',
    run: async (a, io) => (await import('./commands/wallet.js')).walletCommand(a, io),
  },
  chain: {
    does: 'look at the chain, commit read credentials: chain status|commit|neurons',
    run: async (a, io) => (await import('./commands/chain.js')).chainCommand(a, io),
  },
  devchain: {
    does: 'run a development chain',
    run: async (a, io) => (await import('./commands/devchain.js')).devchainCommand(a, io, untilStopped()),
  },
}

/** Errors whose message is a sentence for the operator. */
const EXPECTED = [
  'BrokerError',
  'BucketError',
  'WalletError',
  'ChainError',
  'EngineError',
  'DatasetError',
  'EnvironmentRefused',
  'CheckpointError',
]

function usage(io: CommandIo): void {
  io.out(
    'grail: a GPU mining fleet for GRAIL (Bittensor subnet 81)\n\nusage: grail VERB [options]   (grail VERB --help tells more)\n',
  )
  for (const [name, { does }] of Object.entries(VERBS)) io.out(`  ${name.padEnd(10)} ${does}`)
}

async function main(argv: string[]): Promise<number> {
  const io: CommandIo = {
    out: line => process.stdout.write(`${line}\n`),
    err: line => process.stderr.write(`${line}\n`),
    env: process.env,
    ask: async question => {
      if (!process.stdin.isTTY) return false
      const reader = createInterface({ input: process.stdin, output: process.stdout })
      const answer = await reader.question(`${question} [y/N] `)
      reader.close()
      return /^y(es)?$/i.test(answer.trim())
    },
  }
  const [name, ...args] = argv
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    usage(io)
    return name === undefined ? 2 : 0
  }
  const verb = VERBS[name]
  if (!verb) {
    io.err(`grail: there is no verb "${name}"; "grail --help" lists them`)
    return 2
  }
  try {
    return await verb.run(args, io)
  } catch (error) {
    // What an operator can mend gets its sentence; anything else is ours to mend and keeps its stack.
    const expected =
      error instanceof ConfigError ||
      (error instanceof Error && EXPECTED.includes(error.name)) ||
      (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS')
    io.err(
      `grail ${name}: ${expected ? (error as Error).message : error instanceof Error ? error.stack : String(error)}`,
    )
    // What it has left open, a connection say, must not keep it alive: supervisord would take it for running.
    process.exit(expected ? 1 : 70)
  }
}

// `grail … | head` closes the pipe early: that is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

main(process.argv.slice(2)).then(
  code => {
    process.exitCode = code
  },
  error => {
    process.stderr.write(`${String(error)}\n`)
    process.exitCode = 70
  },
)
