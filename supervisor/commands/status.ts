import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { followJournal } from '../../actors/journal.js'
import { decodePresence, type Presence } from '../../actors/presence.js'
import { FLEET } from '../../actors/streams.js'
import { watchPresence } from '../../nats/index.js'
import { type Summary, summaryLine } from '../../src/window/summary.js'
import { loadConfig } from '../config/load.js'
import { brokerOf } from '../from-inventory.js'
import { untilStopped } from '../shutdown.js'
import type { CommandIo } from './io.js'

const USAGE = 'usage: grail status [--config grail.toml] [--windows N] [--follow] [--json]'
const WINDOWS_SHOWN = '5'
/** Who does not answer a question about the fleet within this time, ms, is away. */
const ANSWER_MS = 10_000

function serverText({
  state,
  reason,
  generating,
  limit,
  proving,
  waiting,
  busy,
}: NonNullable<Presence['server']>): string {
  const why = reason === '' ? '' : ` (${reason})`
  const groups = `${generating} of ${limit} groups generating, ${waiting} waiting, ${proving} proving`
  return `server ${state}${why}: ${groups}, busy ${(100 * busy).toFixed(1)} % since its weights were loaded`
}

/** A live process in a line. */
export function presenceLine(p: Presence): string {
  const facts = [
    p.state,
    ...(p.engine ? [`engine ${p.engine}`] : []),
    ...(p.gpus?.length ? [`gpu ${p.gpus.join(',')}`] : []),
    ...(p.window === undefined ? [] : [`window ${p.window}`]),
    ...(p.inFlight?.length ? [`in flight ${p.inFlight.join(',')}`] : []),
    ...(p.groupMs === undefined ? [] : [`p90 ${(p.groupMs / 1000).toFixed(1)} s per group`]),
    ...(p.hotkey === undefined ? [] : [`hotkey ${p.hotkey}`]),
    ...(p.server === undefined ? [] : [serverText(p.server)]),
  ]
  return `  ${p.instance.padEnd(28)} ${facts.join(', ')}`
}

/** `grail status`: who is alive by the broker's word, and what the last windows came to. */
export async function statusCommand(args: string[], io: CommandIo): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: 'string', default: 'grail.toml' },
      windows: { type: 'string', default: WINDOWS_SHOWN },
      follow: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  if (values.help) {
    io.out(USAGE)
    return 0
  }
  const stopped = untilStopped()
  const broker = await brokerOf(loadConfig(values.config, io.env), 'grail status', stopped)
  const end = new AbortController()
  const signal = AbortSignal.any([stopped, end.signal])
  const present = new Map<string, Presence>()
  const summaries: { summary: Summary; atMs: number }[] = []
  let caughtUp = false
  const show = ({ summary, atMs }: { summary: Summary; atMs: number }) =>
    io.out(values.json ? JSON.stringify(summary) : summaryText(summary, atMs))
  const fleet = watchPresence(broker, FLEET, {
    signal,
    onChange: change => {
      if (change.type === 'gone') present.delete(change.key)
      else present.set(change.key, decodePresence(change.bytes))
    },
  })
  const journal = followJournal(broker, 'control', {
    signal,
    onBroken: (subject, error) => io.err(`${subject}: ${String(error)}`),
    onEvent: event => {
      if (event.kind !== 'summarised') return
      const entry = { summary: event.payload, atMs: event.timeMs }
      if (caughtUp) show(entry)
      else summaries.push(entry)
    },
  })
  const waited = Promise.all([fleet.caughtUp, journal.caughtUp]).then(() => true)
  const ready = await Promise.race([waited, sleep(ANSWER_MS, false, { signal }).catch(() => false)])
  if (!ready) throw new Error(`the broker did not answer within ${ANSWER_MS / 1000} s`)
  caughtUp = true
  if (values.json && !values.follow)
    io.out(JSON.stringify({ present: [...present.values()], windows: summaries.map(({ summary }) => summary) }))
  else {
    if (!values.json) {
      io.out(present.size === 0 ? 'nobody is alive' : `alive (${present.size}):`)
      for (const presence of present.values()) io.out(presenceLine(presence))
      io.out(summaries.length === 0 ? 'no window has been summarised yet' : 'last windows:')
    }
    for (const entry of summaries.slice(-Number(values.windows))) show(entry)
  }
  if (values.follow) await journal.done
  end.abort()
  await Promise.allSettled([journal.done, fleet.done])
  await broker.drain()
  return present.size === 0 ? 1 : 0
}

function summaryText(summary: Summary, atMs: number): string {
  const left = summary.secondsLeft === undefined ? '' : ` | ${summary.secondsLeft.toFixed(1)} s left`
  const reason = summary.reason === undefined ? '' : ` | ${summary.reason}`
  return `  ${summaryLine(summary, new Date(atMs))} | ${summary.problems} problems | ${(summary.bytes / 1e6).toFixed(2)} MB${left}${reason}`
}
