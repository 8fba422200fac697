import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import * as z from 'zod'
import { type DevChain, type DevChainOptions, startDevChain } from '../../src/chain/dev/dev-chain.js'
import { parseMishap, takeDue } from '../../src/chain/dev/mishap.js'
import type { CommandIo } from './io.js'

const USAGE = `usage: grail devchain [--port N] [--host ADDRESS] [--block-ms N] [--finality-lag N] [--announce-every N]
                      [--netuid N] [--trainer SS58] [--register SS58]… [--start-block N] [--seed TEXT] [--metadata FILE]
                      [--after BLOCKS:WHAT[:VALUE]]…

--after lets something happen so many blocks after the start, e.g. --after 40:reorg:3. WHAT is one of:
  reorg:DEPTH  stall[:SECONDS]  silence (links half open)  upgrade[:SPEC]  finality-lag:BLOCKS  announce-every:BLOCKS
  block-ms:MS  register:SS58  deregister:SS58
The same, at any moment, by RPC: dev_reorg, dev_stall, dev_silence, dev_upgrade, dev_setFinalityLag, dev_announceEvery,
dev_setBlockTime, dev_register, dev_deregister, dev_commit, dev_newBlock.`

/** uid 0 where the caller names no trainer: the public development key //Alice. */
const DEFAULT_TRAINER = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'

/** Where counting starts when no start block is given, unix ms (2025-01-01): a later start gets higher numbers, all below 2^32 for blocks of 20 ms and more. */
const COUNTING_FROM_MS = 1_735_689_600_000

const whole = (least: number) => z.coerce.number().int().gte(least)

const Flags = z.object({
  port: whole(0).default(9944),
  host: z.string().default('127.0.0.1'),
  'block-ms': whole(20).default(12_000),
  'finality-lag': whole(0).default(2),
  'announce-every': whole(1).default(1),
  netuid: whole(0).default(81),
  trainer: z.string().default(DEFAULT_TRAINER),
  register: z.array(z.string()).default([]),
  'start-block': whole(1).optional(),
  seed: z.string().default('dev'),
  metadata: z.string().optional(),
  after: z
    .array(z.string())
    .default([])
    .transform((texts, context) => {
      try {
        return texts.map(parseMishap)
      } catch (error) {
        context.addIssue({ code: 'custom', message: (error as Error).message })
        return z.NEVER
      }
    }),
})

/** Flags that may be given several times. */
const MULTIPLE: readonly string[] = ['register', 'after']

/**
 * `grail devchain`: a chain for rehearsals and tests that the real client takes for a subtensor node; runs in the foreground
 * until `signal` aborts. Prints one line when it listens: `ready ws://HOST:PORT genesis 0x…`. Without --start-block the
 * number follows from the time, so that a restarted chain goes on upwards.
 * @param args what follows `grail devchain`
 * @returns the exit code: 0 ended by the signal, 1 could not start, 2 wrong use
 */
export async function devchainCommand(args: string[], io: CommandIo, signal: AbortSignal): Promise<number> {
  if (args.includes('--help')) {
    io.out(USAGE)
    return 0
  }
  const flags = parse(args)
  if (typeof flags === 'string') {
    io.err(`${flags}\n${USAGE}`)
    return 2
  }
  const mishaps = [...flags.after]
  let chain: DevChain
  try {
    let started: DevChain | undefined
    let firstBlock = 0
    chain = await startDevChain({
      ...(await chainOptions(flags)),
      onBest: ({ number }) => {
        firstBlock ||= number
        if (started) letHappen(started, number - firstBlock)
      },
    })
    started = chain
    firstBlock ||= chain.head().number
  } catch (error) {
    io.err(`devchain cannot start: ${explain(error as NodeJS.ErrnoException, flags)}`)
    return 1
  }
  chain.announceEvery(flags['announce-every'])
  io.out(`ready ${chain.url} genesis ${chain.genesisHash}`)
  await new Promise<void>(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
  await chain.close()
  return 0

  function letHappen(chain: DevChain, blocks: number): void {
    for (const { text, happen } of takeDue(mishaps, blocks)) {
      try {
        happen(chain)
        io.err(`block ${chain.head().number}: ${text}`)
      } catch (error) {
        io.err(`block ${chain.head().number}: ${text} cannot be: ${(error as Error).message}`)
      }
    }
  }
}

type Flags = z.infer<typeof Flags>

function parse(args: string[]): Flags | string {
  const names = Object.keys(Flags.shape)
  const options = Object.fromEntries(
    names.map(name => [name, { type: 'string' as const, multiple: MULTIPLE.includes(name) }]),
  )
  let values: unknown
  try {
    values = parseArgs({ args, options }).values
  } catch (error) {
    return (error as Error).message
  }
  const parsed = Flags.safeParse(values)
  if (parsed.success) return parsed.data
  return parsed.error.issues.map(issue => `--${issue.path[0] as string}: ${issue.message}`).join('; ')
}

async function chainOptions(flags: Flags): Promise<DevChainOptions> {
  const blockMs = flags['block-ms']
  return {
    host: flags.host,
    port: flags.port,
    blockMs,
    finalityLag: flags['finality-lag'],
    netuid: flags.netuid,
    register: [flags.trainer, ...flags.register],
    startBlock: flags['start-block'] ?? Math.floor((Date.now() - COUNTING_FROM_MS) / blockMs),
    seed: flags.seed,
    ...(flags.metadata === undefined ? {} : { metadata: await readFile(flags.metadata) }),
  }
}

function explain(error: NodeJS.ErrnoException, flags: Flags): string {
  if (error.code === 'EADDRINUSE') return `port ${flags.port} is taken; free it or choose another with --port`
  if (error.code === 'ENOENT') return `there is no metadata file ${flags.metadata}`
  return error.message
}
