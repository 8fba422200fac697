import { bePresent } from '../../nats/index.js'
import { bell } from '../bell.js'
import { encodePresence, PRESENCE_EVERY_MS } from '../presence.js'
import { FLEET } from '../streams.js'
import { followWindows, isOver } from '../windows.js'
import type { Desk, Fetching, GeneratorParts } from './desk.js'
import { keepEquipment } from './equipment.js'
import { trackInFlight } from './in-flight.js'
import { runLane } from './lane.js'
import { claimNeedsMs } from './last-claim.js'
import { measurePace } from './pace.js'
import { prefetchNext } from './prefetch.js'
import { serverPresence } from './server-presence.js'
import { swapAhead } from './swap.js'
import { keepTallies } from './tally.js'

export type { GeneratorParts } from './desk.js'

/**
 * One GPU's life: claim an index, make its group, gate it, stage it, say so; drain what dead generators left first.
 * Invariant: every index this process has claimed is in its presence until it is staged, given up, or left to be reissued.
 */
export async function runGenerator(parts: GeneratorParts, signal: AbortSignal): Promise<void> {
  const { broker, log, instance, boot } = parts
  const changed = bell()
  const ahead = bell()
  const pace = measurePace()
  const tallies = keepTallies(broker, instance)
  let say = () => {}
  const inFlight = trackInFlight(() => say())
  const desk: Desk = { parts, inFlight, pace, tallies, signal }
  const busyLanes = new Set<number>()
  let inUse: () => Iterable<number> = () => []
  const fetchingWith = (haste: Fetching['haste']): Fetching => ({ haste, keep: () => inUse() })
  const equipment = keepEquipment(parts, {
    fetching: fetchingWith('now'),
    signal,
    onChange: () => {
      say()
      changed.ring()
      ahead.ring()
    },
    onIdle: () => ahead.ring(),
  })

  // From here on the engine may run: whatever ends this generator ends the engine too.
  try {
    // Before anybody counts on this generator: reading a tokenizer blocks for a second, loading weights takes minutes.
    const first = await parts.checkpoint(undefined, signal, fetchingWith('now'))
    if (typeof first === 'string')
      log.warn({ why: first }, 'no checkpoint yet: the engine starts with the first window that has one')
    else await equipment.equip(first)

    const presence = bePresent(
      broker,
      FLEET,
      instance,
      () => {
        const working = inFlight.newest()
        const groupMs = pace.groupMs()
        const claimMs = claimNeedsMs(desk)
        const shop = equipment.shop()
        const trouble = equipment.trouble()
        const status = parts.engineStatus?.()
        return encodePresence({
          role: 'generator',
          instance,
          boot,
          host: parts.host,
          pid: process.pid,
          version: parts.version,
          profile: shop?.profile.id ?? '',
          state: trouble !== '' ? trouble : busyLanes.size > 0 ? 'generating' : 'idle',
          gpus: parts.gpus,
          engine: shop?.engine.name ?? '',
          inFlight: working?.indices ?? [],
          ...(working ? { window: working.window.window, epoch: working.window.epoch } : {}),
          ...(shop ? { checkpointWindow: shop.metadata.window } : {}),
          ...(groupMs === undefined ? {} : { groupMs }),
          ...(claimMs === undefined ? {} : { claimMs }),
          ...(status ? { server: serverPresence(status) } : {}),
        })
      },
      { everyMs: PRESENCE_EVERY_MS, signal },
    )
    say = () => presence.poke()

    const windows = followWindows(broker, {
      signal,
      log,
      onChange: window => {
        changed.ring()
        ahead.ring()
        prefetch.look()
        if (isOver(window)) tallies.report(window)
      },
    })
    const prefetch = prefetchNext(parts, {
      wanted: () => windows.latest()?.next,
      fetching: fetchingWith('ahead'),
      onFetched: () => ahead.ring(),
      signal,
    })
    inUse = () => {
      const latest = windows.latest()
      const used = [equipment.shop()?.metadata.window, latest?.opened.checkpoint.window, latest?.next?.window]
      return used.filter(window => window !== undefined)
    }
    await windows.caughtUp.catch(error => {
      if (!signal.aborted) throw error
    })
    const lanes = Array.from({ length: parts.lanes }, (_, lane) =>
      runLane(desk, lane, {
        windows,
        changed,
        equipment,
        busy: now => (now ? busyLanes.add(lane) : busyLanes.delete(lane)),
      }),
    )
    const swapping = swapAhead(desk, { windows, equipment, prefetch, changed: ahead })
    await Promise.all([...lanes, swapping, prefetch.done, windows.done])
  } catch (error) {
    // Told to end in the middle of the first load: that is no fault.
    if (!signal.aborted) throw error
  } finally {
    await equipment.close()
  }
}
