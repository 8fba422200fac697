import { announce, dropClaimBucket, ensureClaimBucket } from '../../nats/index.js'
import type { Head } from '../../src/chain/chain.js'
import { WINDOW_BLOCKS } from '../../src/window/block.js'
import { claimsOf } from '../../src/window/claim.js'
import { nameOf } from './ahead.js'
import type { Desk } from './desk.js'
import { isOver, type Ledger, send, stateOf } from './ledger.js'
import { opened } from './messages.js'

/**
 * Opens the window of the best head, or a new epoch of it when its hash is another one now: W's hash is looked at again
 * with every head until it is final.
 */
export async function keepWindow(desk: Desk, window: number, head: Head): Promise<void> {
  const { ledgers, signal } = desk
  const { chain } = desk.parts
  // One that an earlier controller was preparing when it died has no timers of its own.
  for (const ledger of ledgers.all())
    if (ledger.window < window && stateOf(ledger) === 'preparing')
      await desk.move(ledger, { type: 'FAILED', reason: 'its last block came before it was prepared' })
  if (ledgers.newestOf(window)?.final) return
  const hash = window === head.number ? head.hash : await chain.hash(window, signal)
  if (hash === undefined) return
  for (const ledger of ledgers.all())
    if (ledger.window === window && ledger.opened && ledger.opened.hash !== hash && !isOver(ledger))
      await desk.move(ledger, { type: 'SUPERSEDED', reason: `reorg: block ${window} is ${hash} now` })
  const known = ledgers.newestOf(window)
  if (known?.opened?.hash === hash) return
  const epoch = known?.opened ? known.epoch + 1 : (known?.epoch ?? 1)
  await open(desk, ledgers.of(window, epoch), hash, head)
}

async function open(desk: Desk, ledger: Ledger, hash: string, head: Head): Promise<void> {
  if (isOver(ledger)) return
  const { parts, fleet, timing, ledgers, signal } = desk
  const { broker, log, clock, chain } = parts
  const { window, epoch } = ledger
  const startMs = (await chain.timestamp(window, signal)) ?? head.timestampMs
  const timers = timing.timersFor(window, head)
  // Until it is opened the machine goes by the timers it would have.
  send(ledger, { type: 'TIMERS', timers })
  if (stateOf(ledger) === 'announced') await desk.move(ledger, { type: 'PREPARE' })
  const hotkey = fleet.hotkey()
  if (hotkey === undefined) {
    log.warn({ window }, 'no aggregator is present yet: the window waits for its hotkey')
    return
  }
  const unregistered = desk.unregistered(hotkey)
  if (unregistered !== undefined) {
    await desk.move(ledger, { type: 'FAILED', reason: unregistered })
    return
  }
  const checkpoint = await parts.checkpoint(window, signal)
  if (typeof checkpoint === 'string') {
    await desk.move(ledger, { type: 'FAILED', reason: `no checkpoint: ${checkpoint}` })
    return
  }
  const randomness = await parts.randomness(hash, signal)
  if (isOver(ledger) || clock.now() >= timers.drainEndMs) return
  await ensureClaims(desk, window, epoch)
  if (isOver(ledger)) {
    // It ended, and was forgotten, while its bucket was being made: nobody else would drop it.
    await dropClaimBucket(broker, claimsOf(window, epoch), { signal })
    return
  }
  await announce(
    broker,
    opened,
    { window, epoch },
    {
      profile: parts.profile.id,
      hotkey,
      hash,
      randomness,
      block: head.number,
      startMs,
      checkpoint: nameOf(checkpoint),
      timers,
      maxGroups: parts.maxGroups,
    },
    { signal },
  )
  ledgers.followClaims(ledger)
  await forgetUnopened(desk, window)
  const secondsToDrain = Math.round((timers.drainEndMs - clock.now()) / 1000)
  log.info({ window, epoch, hash, secondsToDrain }, 'window opened')
  // The next window's bucket is there before the window is.
  await ensureClaims(desk, window + WINDOW_BLOCKS, 1)
}

async function ensureClaims({ parts, signal }: Desk, window: number, epoch: number): Promise<void> {
  const { broker, replicas, maxGroups } = parts
  await ensureClaimBucket(broker, claimsOf(window, epoch), { signal, replicas, cap: maxGroups })
}

/** The bucket that was made ahead for a window that no controller was alive to open. */
async function forgetUnopened({ parts, ledgers, signal }: Desk, window: number): Promise<void> {
  const before = Math.max(...ledgers.all().map(ledger => (ledger.window < window ? ledger.window : 0)))
  const ahead = before + WINDOW_BLOCKS
  if (ahead < window) await dropClaimBucket(parts.broker, claimsOf(ahead, 1), { signal })
}
