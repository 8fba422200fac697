import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import * as z from 'zod'
import type { Broker } from '../../nats/index.js'
import { timeOut } from '../../src/time-out.js'
import { type LoadReport, loadBroker, type Timed } from '../cluster/load.js'
import { type LoadedConfig, loadConfig } from '../config/load.js'
import { brokerOf } from '../from-inventory.js'
import { untilStopped } from '../shutdown.js'
import type { CommandIo } from './io.js'

const USAGE = `usage: grail cluster bench [--config grail.toml] [--claimers N] [--seconds N] [--megabytes N] [--object-kb N]
                           [--limit-ms MS] [--json]

Measures the NATS servers of the inventory from this host: claims made as generators make them, then groups put into an
object store and read back, all in buckets of its own (GRAIL_BENCH_…) that are removed after. While it runs, claims of a fleet
that is at work wait a few milliseconds longer. With --limit-ms the exit code is 1 when the claims' p99 is above.`

const whole = (least: number, most: number) => z.coerce.number().int().gte(least).lte(most)

const Flags = z.object({
  config: z.string().default('grail.toml'),
  claimers: whole(1, 256).default(8),
  seconds: whole(1, 60).default(3),
  megabytes: whole(1, 1_024).default(64),
  /** A group of 16 rollouts of 1,200 tokens. */
  'object-kb': whole(1, 4_096).default(224),
  'limit-ms': z.coerce.number().positive().optional(),
  json: z.boolean().default(false),
  help: z.boolean().default(false),
})
type Flags = z.infer<typeof Flags>

const KILO = 1_000
const MEGA = 1e6
/** A server that has not answered by then does not, ms. */
const ANSWER_MS = 5_000
/** Connecting, electing leaders and moving the objects take this long at most, ms, beside the claims. */
const LIMIT_MS = 120_000
const NAME_BYTES = 4
/** What a server without a name of its own calls itself. */
const GENERATED_NAME = /^N[A-Z2-7]{55}$/

/** One server of the inventory. */
interface Answer {
  address: string
  version?: string
  name?: string
  /** ms */
  roundTrip?: number
}

/**
 * `grail cluster bench`: what the operator's own NATS servers can do. Throws BrokerError and ConfigError, whose messages are
 * for the operator.
 * @param args what follows `grail cluster`
 * @returns the exit code: 0 measured, 1 a server is away or the claims are slower than asked for, 2 wrong use
 */
export async function clusterCommand(
  args: string[],
  io: CommandIo,
  stopped: AbortSignal = untilStopped(),
): Promise<number> {
  const flags = parse(args)
  if (typeof flags === 'string') {
    io.err(flags)
    return 2
  }
  if (flags.help) {
    io.out(USAGE)
    return 0
  }
  const loaded = loadConfig(flags.config, io.env)
  const signal = AbortSignal.any([stopped, timeOut(LIMIT_MS + flags.seconds * KILO)])
  const servers = await Promise.all(loaded.config.nats.servers.map(address => ask(loaded, address, signal)))
  const brokers: Broker[] = []
  try {
    const first = await brokerOf(loaded, 'grail cluster bench', signal)
    brokers.push(first)
    for (let i = 1; i < flags.claimers; i++) brokers.push(await brokerOf(loaded, `grail cluster bench ${i}`, signal))
    const report = await loadBroker({
      brokers: [first, ...brokers.slice(1)],
      replicas: loaded.config.nats.replicas,
      claimMs: flags.seconds * KILO,
      objectBytes: flags['object-kb'] * KILO,
      totalBytes: flags.megabytes * MEGA,
      name: randomBytes(NAME_BYTES).toString('hex'),
      onLeft: streams => io.err(`could not remove ${streams.join(' and ')}: the next run does, or "nats stream rm"`),
      signal,
    })
    if (flags.json) io.out(JSON.stringify({ servers, ...report }))
    else for (const line of lines(servers, report, loaded, flags)) io.out(line)
    const slow = flags['limit-ms'] !== undefined && report.claims.p99 > flags['limit-ms']
    if (slow) io.err(`claims: p99 ${ms(report.claims.p99)} is above the ${flags['limit-ms']} ms asked for`)
    return slow || servers.some(({ version }) => version === undefined) ? 1 : 0
  } finally {
    await Promise.all(brokers.map(broker => broker.drain()))
  }
}

function parse(args: string[]): Flags | string {
  const texts = ['config', 'claimers', 'seconds', 'megabytes', 'object-kb', 'limit-ms']
  const options = {
    ...Object.fromEntries(texts.map(name => [name, { type: 'string' as const }])),
    json: { type: 'boolean' as const },
    help: { type: 'boolean' as const },
  }
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  if (!values.help && positionals.join(' ') !== 'bench') return USAGE
  const parsed = Flags.safeParse(values)
  if (parsed.success) return parsed.data
  return `${parsed.error.issues.map(issue => `--${String(issue.path[0])}: ${issue.message}`).join('; ')}\n${USAGE}`
}

/** Its version and round trip; without them when it does not answer. A refused password is an error. */
async function ask(loaded: LoadedConfig, given: string, signal: AbortSignal): Promise<Answer> {
  // An address may hold a password.
  const address = given.replace(/^.*@|^\w+:\/\//, '')
  const { config } = loaded
  const alone = { ...loaded, config: { ...config, nats: { ...config.nats, servers: [given] } } }
  const late = timeOut(ANSWER_MS)
  let broker: Broker
  try {
    broker = await brokerOf(alone, 'grail cluster bench', AbortSignal.any([signal, late]))
  } catch (error) {
    if (late.aborted && !signal.aborted) return { address }
    throw error
  }
  try {
    const { version, serverName } = broker.info
    const asked = performance.now()
    await broker.nc.flush()
    const roundTrip = performance.now() - asked
    return { address, version, ...(GENERATED_NAME.test(serverName) ? {} : { name: serverName }), roundTrip }
  } finally {
    await broker.drain()
  }
}

function* lines(servers: readonly Answer[], report: LoadReport, loaded: LoadedConfig, flags: Flags): Generator<string> {
  const { replicas } = loaded.config.nats
  for (const { address, version, name, roundTrip } of servers)
    yield version === undefined
      ? `  ${address.padEnd(28)} DOES NOT ANSWER`
      : `  ${address.padEnd(28)} nats-server ${version}${name === undefined ? '' : ` (${name})`}, round trip ${ms(roundTrip ?? Number.NaN)}`
  yield `  ${'copies of a stream'.padEnd(28)} ${report.copies}, the inventory says ${replicas}${report.leader === undefined ? '' : `; led by ${report.leader}`}`
  yield ''
  yield `  ${''.padEnd(28)} ${'calls'.padStart(9)} ${'a second'.padStart(12)} ${'p50'.padStart(10)} ${'p99'.padStart(10)}`
  const rate = (perSecond: number) => `${((perSecond * flags['object-kb'] * KILO) / MEGA).toFixed(0)} MB`
  const row = (what: string, { calls, p50, p99 }: Timed, aSecond: string) =>
    `  ${what.padEnd(28)} ${String(calls).padStart(9)} ${aSecond.padStart(12)} ${ms(p50).padStart(10)} ${ms(p99).padStart(10)}`
  yield row(`claim, ${flags.claimers} claimers`, report.claims, report.claims.perSecond.toFixed(0))
  yield row(`put ${flags['object-kb']} KB`, report.put, rate(report.put.perSecond))
  yield row(`get ${flags['object-kb']} KB`, report.get, rate(report.get.perSecond))
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`
}
