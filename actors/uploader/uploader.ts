import { bePresent, tell } from '../../nats/index.js'
import type { Summary } from '../../src/window/summary.js'
import { whileActive } from '../active.js'
import { summaryLive } from '../controller/messages.js'
import { encodePresence, PRESENCE_EVERY_MS } from '../presence.js'
import { FLEET } from '../streams.js'
import { followWindows, type OpenWindow } from '../windows.js'
import { type DeliveryResult, deliver } from './delivery.js'
import type { UploaderParts } from './options.js'

/** Windows that are known to have been delivered: more than can be followed at once. */
const REMEMBERED = 32

/**
 * Brings every window's file to the bucket. After the deadline an object is only looked at, or taken away again when the
 * window has none by the fleet's word (leave.ts).
 */
export async function runUploader(parts: UploaderParts, signal: AbortSignal): Promise<void> {
  const { broker, log, instance, boot } = parts
  let state = 'standby'
  bePresent(
    broker,
    FLEET,
    instance,
    () =>
      encodePresence({
        role: 'uploader',
        instance,
        boot,
        host: parts.host,
        pid: process.pid,
        version: parts.version,
        profile: '',
        state,
      }),
    { everyMs: PRESENCE_EVERY_MS, signal },
  )
  await whileActive(parts, { role: 'uploader', leaseMs: parts.leaseMs, signal }, async active => {
    state = 'active'
    const running = new Map<string, Promise<void>>()
    const begin = (window: OpenWindow) => {
      const key = `${window.window}.${window.epoch}`
      // Windows that are over are looked at all the same: something of them may lie in the bucket.
      if (running.has(key)) return
      const isLatest = ({ window: of, epoch }: OpenWindow) =>
        !windows.all().some(other => other.window === of && other.epoch > epoch)
      const done = deliver(window, { ...parts, isLatest }, active)
        .then(result => {
          if (!result.old) report(window, result)
        })
        .catch(error => {
          if (!active.aborted) log.error({ window: window.window, err: error }, 'delivery ended by an error')
        })
      running.set(key, done)
      for (const old of [...running.keys()].slice(0, -REMEMBERED)) running.delete(old)
    }
    let ready = false
    const windows = followWindows(broker, { signal: active, log, onChange: window => ready && begin(window) })
    await windows.caughtUp
    ready = true
    for (const window of windows.all()) begin(window)
    await windows.done
    await Promise.allSettled(running.values())
  })

  function report(window: OpenWindow, result: DeliveryResult): void {
    if (signal.aborted) return
    const file = result.uploaded
    const summary: Summary = {
      actor: instance,
      window: window.window,
      epoch: window.epoch,
      state: file ? 'UPLOADED' : result.failed === undefined ? 'EMPTY' : 'MISSED',
      ...(result.failed === undefined ? {} : { reason: result.failed }),
      rollouts: 0,
      problems: 0,
      dropped: {},
      duplicates: 0,
      bytes: file?.bytes ?? 0,
      seconds: file?.seconds ?? {},
      ...(file ? { secondsLeft: file.secondsLeft, sha256: file.sha256 } : {}),
      checkpoint: window.opened.checkpoint.window,
    }
    tell(broker, summaryLive, {}, summary)
  }
}
