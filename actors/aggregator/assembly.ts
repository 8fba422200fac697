import { announce } from '../../nats/index.js'
import { foldAttempt, noAttempt } from '../attempt.js'
import { bell } from '../bell.js'
import type { Staged } from '../generator/messages.js'
import { followJournal } from '../journal.js'
import { indicesOf } from '../ranges.js'
import type { OpenWindow } from '../windows.js'
import { assembling, assemblyFailed, dropped, type Sealed, sealed } from './messages.js'
import type { AssemblyParts } from './options.js'
import { type Gathering, writeFile } from './write-file.js'

/** An idle assembly looks at the clock this often, ms: the seal must not depend on the controller being alive. */
const LOOK_MS = 250
const LATE = 'its place in the file had passed'

/** Tells what happened, for the aggregator's own summary. */
export interface AssemblyResult {
  sealed?: Sealed
  dropped: Record<string, number>
  duplicates: number
}

/** Another aggregator makes the file now: this one has nothing more to say about it. */
class Replaced extends Error {}

/**
 * Writes one window's file while the window is open.
 * Invariant: every index goes into the file at most once, in ascending order; every staged group that does not is announced
 * as dropped, with a reason; nothing is handed to the uploader as complete unless all of it was written.
 * Ends when the window is over (or `outer` aborts), so that groups staged too late still get their reason; also those staged
 * while no aggregator lived, of a window that is done by now.
 * @returns undefined when the file is another aggregator's by now
 */
export async function assemble(
  window: OpenWindow,
  parts: AssemblyParts,
  outer: AbortSignal,
): Promise<AssemblyResult | undefined> {
  const { broker, log, clock } = parts
  const holes = { window: window.window, epoch: window.epoch }
  const me = `${parts.instance}.${parts.boot}`
  const over = new AbortController()
  const signal = AbortSignal.any([outer, window.worthless, over.signal])

  const staged = new Map<number, Staged>()
  const burned = new Set<number>()
  /** Index and digest of what was dropped, by whichever attempt: it stays out. */
  const out = new Set<string>()
  const result: AssemblyResult = { dropped: {}, duplicates: 0 }
  const attempt = noAttempt()
  let replaced = false
  let sealNow = false
  /** Every group staged up to the seal has its place or its reason; one that comes now is late. */
  let settled = false
  /** The window's object is verified. */
  let delivered = false
  const changed = bell()

  const drop = async (index: number, digest: string, reason: string, detail: string) => {
    if (out.has(`${index} ${digest}`)) return
    out.add(`${index} ${digest}`)
    log.warn({ ...holes, index, reason, detail }, 'group dropped')
    await announce(
      broker,
      dropped,
      { ...holes, index },
      { digest, reason, detail: detail.slice(0, 500) },
      { signal: outer },
    )
  }

  const journal = followJournal(broker, holes, {
    signal,
    onBroken: (subject, error) => log.error({ subject, err: error }, 'an event of the journal cannot be read: skipped'),
    onEvent: async event => {
      foldAttempt(attempt, event)
      if (event.kind === 'staged') {
        const first = staged.get(event.index)
        if (!first) staged.set(event.index, event.payload)
        if (first && first.digest !== event.payload.digest)
          await drop(event.index, event.payload.digest, 'duplicate', `staged before by ${first.generator}`)
        else if (!first && settled) await drop(event.index, event.payload.digest, 'late', LATE)
      } else if (event.kind === 'dropped') {
        out.add(`${event.index} ${event.payload.digest}`)
        const { reason } = event.payload
        result.dropped[reason] = (result.dropped[reason] ?? 0) + 1
        if (reason === 'duplicate') result.duplicates++
      } else if (event.kind === 'gaveup') burned.add(event.index)
      else if (event.kind === 'state' && event.payload.state === 'sealing') sealNow = true
      else if (event.kind === 'state' && ['skipped', 'failed'].includes(event.payload.state)) over.abort()
      else if (event.kind === 'state' && event.payload.state === 'done') delivered = true
      if (delivered && settled) over.abort()
      changed.ring()
    },
  })

  try {
    await journal.caughtUp
    result.sealed = attempt.sealed ?? (await make())
    // What was staged while the file was being closed, or while no aggregator lived, is in nobody's file.
    const inFile = indicesOf(result.sealed.indices)
    settled = true
    for (const [index, { digest }] of [...staged]) if (!inFile.has(index)) await drop(index, digest, 'late', LATE)
    if (delivered) over.abort()
  } catch (error) {
    if (error instanceof Replaced) {
      log.warn({ ...holes, why: error.message }, 'another aggregator makes the file')
      replaced = true
      over.abort()
    } else if (!outer.aborted && !window.worthless.aborted && !over.signal.aborted) {
      const reason = error instanceof Error ? error.message : String(error)
      log.error({ ...holes, err: error }, 'the window file cannot be made')
      await announce(broker, assemblyFailed, holes, { reason }, { signal: outer })
    }
  }
  await journal.done
  return outer.aborted || replaced ? undefined : result

  async function make(): Promise<Sealed> {
    const number = await begin()
    if (number === undefined) return attempt.sealed as Sealed
    const digestOf = (index: number) => staged.get(index)!.digest
    const gathering: Gathering = {
      staged,
      burned,
      isDropped: index => out.has(`${index} ${digestOf(index)}`),
      drop: (index, reason, detail) => drop(index, digestOf(index), reason, detail),
      sealNow: () => sealNow,
      look: () => changed.wait(LOOK_MS, signal),
      stillOurs: async () => {
        // A process that was stopped for a while goes on in the middle of things: the timer that tells it that its lease is gone
        // is due before this one.
        await clock.sleep(0, signal)
        signal.throwIfAborted()
        if (attempt.number !== number) throw new Replaced(`attempt ${attempt.number} is being made`)
      },
    }
    const file = await writeFile(window, number, gathering, parts, signal)
    await announce(broker, sealed, holes, file, { signal })
    const { groups, rows, bytes, seconds } = file
    log.info({ ...holes, groups, rows, bytes, seconds }, 'file sealed')
    return file
  }

  /** Begins an attempt. Resolves with its number once the journal says that it counts; with undefined when the file is sealed already. */
  async function begin(): Promise<number | undefined> {
    while (!attempt.sealed) {
      const number = attempt.number + 1
      await announce(broker, assembling, holes, { attempt: number, aggregator: me }, { signal })
      while (attempt.number < number && !attempt.sealed) {
        signal.throwIfAborted()
        await changed.wait(LOOK_MS, signal)
      }
      if (attempt.number === number && attempt.aggregator === me) return number
    }
    return undefined
  }
}
