import { bePresent } from '../../nats/index.js'
import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import { bell } from '../bell.js'
import { encodePresence, PRESENCE_EVERY_MS } from '../presence.js'
import { FLEET } from '../streams.js'
import { followWindows, isOver, type OpenWindow } from '../windows.js'
import type { Desk, GeneratorParts } from './desk.js'
import { trackInFlight } from './in-flight.js'
import { runLane } from './lane.js'
import type { Workshop } from './make-group.js'
import { measurePace } from './pace.js'
import { keepTallies } from './tally.js'

export type { GeneratorParts } from './desk.js'

/**
 * One GPU's life: claim an index, make its group, gate it, stage it, say so; drain what dead generators left first.
 * Invariant: every index this process has claimed is in its presence until it is staged, given up, or left to be reissued.
 */
export async function runGenerator(parts: GeneratorParts, signal: AbortSignal): Promise<void> {
  const { broker, log, instance, boot } = parts
  const changed = bell()
  const pace = measurePace()
  const tallies = keepTallies(broker, instance)
  let say = () => {}
  const inFlight = trackInFlight(() => say())
  const desk: Desk = { parts, inFlight, pace, tallies, signal }
  const busyLanes = new Set<number>()
  let trouble = ''
  let workshop: Workshop | undefined
  let loaded = ''
  let equipping: Promise<Workshop | undefined> | undefined

  // Before anybody counts on this generator: reading a tokenizer blocks for a second, loading weights takes minutes.
  const first = await parts.checkpoint(undefined, signal)
  if (typeof first === 'string')
    log.warn({ why: first }, 'no checkpoint yet: the engine starts with the first window that has one')
  else await equip(first)

  const presence = bePresent(
    broker,
    FLEET,
    instance,
    () => {
      const working = inFlight.newest()
      const groupMs = pace.groupMs()
      return encodePresence({
        role: 'generator',
        instance,
        boot,
        host: parts.host,
        pid: process.pid,
        version: parts.version,
        profile: workshop?.profile.id ?? '',
        state: trouble !== '' ? trouble : busyLanes.size > 0 ? 'generating' : 'idle',
        gpus: parts.gpus,
        engine: workshop?.engine.name ?? '',
        inFlight: working?.indices ?? [],
        ...(working ? { window: working.window.window, epoch: working.window.epoch } : {}),
        ...(workshop ? { checkpointWindow: workshop.metadata.window } : {}),
        ...(groupMs === undefined ? {} : { groupMs }),
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
      if (isOver(window)) tallies.report(window)
    },
  })
  await windows.caughtUp.catch(error => {
    if (!signal.aborted) throw error
  })
  const lanes = Array.from({ length: parts.lanes }, (_, lane) =>
    runLane(desk, lane, {
      windows,
      changed,
      workshopFor,
      busy: now => (now ? busyLanes.add(lane) : busyLanes.delete(lane)),
    }),
  )
  try {
    await Promise.all([...lanes, windows.done])
  } finally {
    await workshop?.engine.close()
    await workshop?.environment.close()
  }

  async function equip(checkpoint: Checkpoint): Promise<Workshop> {
    const before = workshop
    trouble = 'loading'
    workshop = undefined
    const now = await parts.workshop(checkpoint, signal)
    await before?.environment.close()
    workshop = now
    loaded = `${checkpoint.metadata.window}/${checkpoint.metadata.weightsHash}`
    trouble = ''
    return now
  }

  /** The workshop for a window's checkpoint, or undefined with the reason in `trouble`. Lanes that want it at once wait for one load. */
  async function workshopFor(window: OpenWindow): Promise<Workshop | undefined> {
    const wanted = `${window.opened.checkpoint.window}/${window.opened.checkpoint.weightsHash}`
    if (workshop && loaded === wanted) return workshop
    equipping ??= find(window, wanted).finally(() => {
      equipping = undefined
    })
    return equipping
  }

  async function find(window: OpenWindow, wanted: string): Promise<Workshop | undefined> {
    const found = await parts.checkpoint(window.opened.checkpoint.window, signal)
    if (typeof found === 'string') {
      trouble = `no checkpoint: ${found}`
      return undefined
    }
    const { metadata } = found
    if (`${metadata.window}/${metadata.weightsHash}` !== wanted) {
      trouble = `holds checkpoint ${metadata.window}, the window wants ${window.opened.checkpoint.window}`
      return undefined
    }
    return equip(found)
  }
}
