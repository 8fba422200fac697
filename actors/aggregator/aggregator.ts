import { bePresent, tell } from '../../nats/index.js'
import type { Summary } from '../../src/window/summary.js'
import { whileActive } from '../active.js'
import { summaryLive } from '../controller/messages.js'
import { encodePresence, PRESENCE_EVERY_MS } from '../presence.js'
import { FLEET } from '../streams.js'
import { followWindows, isOver, type OpenWindow } from '../windows.js'
import { type AssemblyResult, assemble } from './assembly.js'
import type { AggregatorParts } from './options.js'

/** Windows that are known to have been assembled: more than can be followed at once. */
const REMEMBERED = 32

/**
 * Takes staged groups of the open window as they come, judges, signs and writes them, and hands out equal-sized parts.
 * Its state is the journal: killed at any moment, it begins the file again under a new attempt.
 */
export async function runAggregator(parts: AggregatorParts, signal: AbortSignal): Promise<void> {
  const { broker, log, instance, boot, hotkey } = parts
  let state = 'standby'
  bePresent(
    broker,
    FLEET,
    instance,
    () =>
      encodePresence({
        role: 'aggregator',
        instance,
        boot,
        host: parts.host,
        pid: process.pid,
        version: parts.version,
        profile: parts.profile.id,
        state,
        hotkey: hotkey.ss58,
      }),
    { everyMs: PRESENCE_EVERY_MS, signal },
  )
  await whileActive(parts, { role: 'aggregator', leaseMs: parts.leaseMs, signal }, async active => {
    state = 'active'
    const running = new Map<string, Promise<void>>()
    const begin = (window: OpenWindow) => {
      const key = `${window.window}.${window.epoch}`
      // One that is done may have groups that nobody has given a reason: of others there is nothing more to say.
      if (running.has(key) || (isOver(window) && window.state !== 'done')) return
      const old = isOver(window)
      if (window.opened.hotkey !== hotkey.ss58) {
        log.error({ window: window.window, hotkey: window.opened.hotkey }, 'window of another hotkey: not ours to sign')
        return
      }
      const done = assemble(window, parts, active)
        .then(result => {
          if (result && !old) report(window, result)
        })
        .catch(error => {
          if (!active.aborted) log.error({ window: window.window, err: error }, 'assembly ended by an error')
        })
      running.set(key, done)
      for (const forgotten of [...running.keys()].slice(0, -REMEMBERED)) running.delete(forgotten)
    }
    let ready = false
    const windows = followWindows(broker, { signal: active, log, onChange: window => ready && begin(window) })
    // Of windows that are over by the time the journal is read no file is made: look at the outcome, not at every step.
    await windows.caughtUp
    ready = true
    for (const window of windows.all()) begin(window)
    await windows.done
    await Promise.allSettled(running.values())
  })

  function report(window: OpenWindow, { sealed, dropped, duplicates }: AssemblyResult): void {
    if (signal.aborted) return
    const summary: Summary = {
      actor: instance,
      window: window.window,
      epoch: window.epoch,
      state: sealed === undefined ? 'SKIPPED' : sealed.rows === 0 ? 'EMPTY' : sealed.truncated ? 'TRUNCATED' : 'STAGED',
      rollouts: sealed?.rows ?? 0,
      problems: sealed?.groups ?? 0,
      ...(sealed?.firstHole === undefined ? {} : { firstHole: sealed.firstHole }),
      dropped,
      duplicates,
      bytes: sealed?.bytes ?? 0,
      seconds: sealed?.seconds ?? {},
      ...(sealed && sealed.rows > 0 ? { sha256: sealed.sha256 } : {}),
      checkpoint: window.opened.checkpoint.window,
    }
    tell(broker, summaryLive, {}, summary)
  }
}
