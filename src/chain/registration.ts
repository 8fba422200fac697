import { timeOut } from '../time-out.js'
import { ChainError } from './chain-error.js'
import { type Clock, wallClock } from './clock.js'
import type { Link } from './link.js'
import { readUid } from './reads.js'

/** What happens to a hotkey's place on the subnet. */
export type RegistrationEvent =
  | { kind: 'registered'; uid: number }
  /** The hotkey has no place (any more): nothing it mines counts. Told once two nodes, or two reads of one, agree. */
  | { kind: 'unregistered' }
  /** The chain could not be asked; nothing is known to have changed. */
  | { kind: 'unknown'; why: string }

export interface RegistrationOptions {
  link: (signal: AbortSignal) => Promise<Link>
  secondLink: (signal: AbortSignal) => Promise<Link | undefined>
  netuid: number
  ss58: string
  /** Time between looks, ms; default 60,000. */
  everyMs?: number
  /** A look that takes longer than this is 'unknown', ms; default 20,000. */
  lookMs?: number
  clock?: Clock
  signal: AbortSignal
}

const EVERY_MS = 60_000

const LOOK_MS = 20_000

/** Says what the registration is, first at once and then whenever that changes; ends when the signal aborts. */
export async function* watchRegistration(options: RegistrationOptions): AsyncGenerator<RegistrationEvent> {
  const { signal } = options
  const clock = options.clock ?? wallClock
  let told = ''
  while (!signal.aborted) {
    const event = await look(options)
    if (signal.aborted) return
    const key = event.kind === 'registered' ? `registered ${event.uid}` : event.kind
    if (key !== told) yield event
    told = key
    await clock.sleep(options.everyMs ?? EVERY_MS, signal)
  }
}

async function look(options: RegistrationOptions): Promise<RegistrationEvent> {
  const { netuid, ss58 } = options
  const signal = AbortSignal.any([options.signal, timeOut(options.lookMs ?? LOOK_MS)])
  try {
    const link = await options.link(signal)
    const uid = await readUid(link, netuid, ss58, { signal })
    if (uid !== undefined) return { kind: 'registered', uid }
    // Absence stops a fleet: it takes a second node's word, or that of the newest final block, which no reorg takes back.
    const second = await options.secondLink(signal)
    const again = second
      ? await readUid(second, netuid, ss58, { signal }).finally(() => second.close('asked'))
      : await readUid(link, netuid, ss58, { signal, at: await finalHash(link, signal) })
    return again === undefined ? { kind: 'unregistered' } : { kind: 'registered', uid: again }
  } catch (error) {
    return { kind: 'unknown', why: (error as Error).message }
  }
}

async function finalHash(link: Link, signal: AbortSignal): Promise<string> {
  const hash = await link.connection.request('chain_getFinalizedHead', [], signal)
  if (typeof hash !== 'string') throw new ChainError('rpc', 'the node has no final block', 'later')
  return hash
}
