import { announce } from '../../nats/index.js'
import { scope } from '../../src/checkpoint/scope.js'
import { RewardError } from '../../src/environment/environment.js'
import { digestOf, encodeGroup } from '../../src/window/blob.js'
import type { OpenWindow } from '../windows.js'
import type { Desk } from './desk.js'
import type { Generated } from './make-group.js'
import { gaveUp, staged, stagedObject } from './messages.js'

/** Longest detail of a given-up group that goes into the journal, characters: the log has all of it. */
const DETAIL_CHARACTERS = 500

/** Burns an index: its group must not be uploaded, and making it again would not help. */
export async function giveUp(
  { parts, tallies, signal }: Desk,
  window: OpenWindow,
  index: number,
  reason: string,
  detail: string,
): Promise<void> {
  const { broker, log, instance, boot } = parts
  tallies.dropped(window, reason)
  log.warn({ window: window.window, index, reason, detail }, 'group given up')
  const holes = { window: window.window, epoch: window.epoch, index }
  const said = { reason, detail: detail.slice(0, DETAIL_CHARACTERS), generator: instance, boot }
  await announce(broker, gaveUp, holes, said, { signal })
}

/**
 * Rewards, gates and stages a generated group while the engine is busy with the next one. The index stays in flight until
 * that is acknowledged; what is lost on the way is left for another generator. Never rejects.
 * @returns whether it was staged
 */
export async function stage(
  desk: Desk,
  window: OpenWindow,
  index: number,
  generated: Generated,
  beganMs: number,
): Promise<boolean> {
  const { parts, signal } = desk
  try {
    return await reward(desk, window, index, generated, beganMs)
  } catch (error) {
    if (signal.aborted || window.worthless.aborted) return false
    if (error instanceof RewardError) await giveUp(desk, window, index, 'judge-broken', error.message).catch(() => {})
    else parts.log.error({ window: window.window, index, err: error }, 'group lost: left for another generator')
    return false
  } finally {
    desk.inFlight.end(window, index)
  }
}

async function reward(
  desk: Desk,
  window: OpenWindow,
  index: number,
  generated: Generated,
  beganMs: number,
): Promise<boolean> {
  const { parts, pace, tallies, signal } = desk
  const { broker, clock, log, instance, boot } = parts
  const generatedMs = clock.now()
  const { group, findings } = await generated.finish()
  const [first] = findings
  if (first) {
    await giveUp(desk, window, index, first.code, findings.map(({ message }) => message).join('; '))
    return false
  }
  const stagingMs = clock.now()
  const leftMs = window.timers.drainEndMs - stagingMs
  if (leftMs <= 0) {
    await giveUp(desk, window, index, 'late', `made ${-leftMs} ms after draining had ended`)
    return false
  }
  const blob = encodeGroup(group)
  const digest = digestOf(blob)
  const object = stagedObject(window.window, window.epoch, index, digest)
  const bytes = blob.byteLength
  const rollouts = group.rollouts.length
  const seconds = { ...group.seconds, stage: 0 }
  const until = scope(signal, window.worthless)
  try {
    const patience = { signal: until.signal, giveUpAfterMs: leftMs }
    await parts.rollouts.put(object, blob, patience)
    seconds.stage = (clock.now() - stagingMs) / 1000
    const { checkpointWindow } = group.model
    const holes = { window: window.window, epoch: window.epoch, index }
    const said = { object, digest, bytes, rollouts, generator: instance, boot, checkpointWindow, seconds }
    await announce(broker, staged, holes, said, patience)
  } finally {
    until.end()
  }
  const stagedMs = clock.now()
  pace.finished(stagedMs - beganMs - generated.waitedMs, stagedMs - generatedMs)
  tallies.staged(window, rollouts, bytes, seconds)
  log.debug({ window: window.window, index, bytes, seconds }, 'staged')
  return true
}
