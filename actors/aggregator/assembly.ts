import { createHash } from 'node:crypto'
import { announce, type Store } from '../../nats/index.js'
import type { Profile } from '../../src/protocol/profile.js'
import type { Hotkey } from '../../src/wallet/hotkey.js'
import { WINDOW_BLOCKS } from '../../src/window/block.js'
import { firstHole, type HolePolicy, writable } from '../../src/window/holes.js'
import { openWindowFile, type WindowFile } from '../../src/window/parquet/writer.js'
import type { ActorParts } from '../actor.js'
import { bell } from '../bell.js'
import { expectationOf } from '../expectation.js'
import type { Staged } from '../generator/messages.js'
import { followJournal } from '../journal.js'
import type { OpenWindow } from '../windows.js'
import { assembling, assemblyFailed, dropped, partObject, partReady, type Sealed, sealed } from './messages.js'
import { signGroup } from './sign.js'
import { type Taken, takeGroup } from './take.js'

export interface AssemblyParts extends ActorParts {
  hotkey: Hotkey
  profile: Profile
  holes: HolePolicy
  /** Size of every part but the last, bytes. */
  partBytes: number
  rollouts: Store
  parts: Store
}

/** Groups read ahead of the one being written: one hides the store's round trip, more only cost memory. */
const READ_AHEAD = 2
/** An idle assembly looks at the clock this often, ms: the seal must not depend on the controller being alive. */
const LOOK_MS = 250
/** What is not appended this long before the object must be complete stays out: footer, last part and Complete still have to happen. */
const SEAL_RESERVE_MS = 1_500
/** The controller's word is waited for this long after draining should have ended. */
const CONTROLLER_GRACE_MS = 500

/** `[0,1,2,5]` as `[[0,2],[5,5]]`. */
export function ranges(ascending: readonly number[]): [number, number][] {
  const found: [number, number][] = []
  for (const index of ascending) {
    const last = found.at(-1)
    if (last && last[1] === index - 1) last[1] = index
    else found.push([index, index])
  }
  return found
}

/** Tells what happened, for the aggregator's own summary. */
export interface AssemblyResult {
  sealed?: Sealed
  dropped: Record<string, number>
  duplicates: number
}

/**
 * Writes one window's file while the window is open.
 * Invariant: every index goes into the file at most once, in ascending order; every staged group that does not is announced
 * as dropped, with a reason; nothing is handed to the uploader as complete unless all of it was written.
 * Ends when the window is over (or `signal` aborts), so that groups staged too late still get their reason.
 */
export async function assemble(window: OpenWindow, parts: AssemblyParts, outer: AbortSignal): Promise<AssemblyResult> {
  const { broker, log, clock, profile } = parts
  const holes = { window: window.window, epoch: window.epoch }
  const rehearsal = window.opened.checkpoint.modelName === 'rehearsal'
  const gate = expectationOf({ ...holes, opened: window.opened })
  const over = new AbortController()
  const signal = AbortSignal.any([outer, window.worthless, over.signal])

  const staged = new Map<number, Staged>()
  const burned = new Set<number>()
  const result: AssemblyResult = { dropped: {}, duplicates: 0 }
  let attempts = 0
  let sealNow = false
  let sealedBefore: Sealed | undefined
  let sealedHere = false
  const changed = bell()

  const drop = async (index: number, digest: string, reason: string, detail: string) => {
    result.dropped[reason] = (result.dropped[reason] ?? 0) + 1
    if (reason === 'duplicate') result.duplicates++
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
      if (event.kind === 'staged') {
        const first = staged.get(event.index)
        if (first && first.digest !== event.payload.digest)
          await drop(event.index, event.payload.digest, 'duplicate', `staged before by ${first.generator}`)
        else if (!first && (sealedHere || sealedBefore)) {
          staged.set(event.index, event.payload)
          await drop(event.index, event.payload.digest, 'late', 'staged after the file was sealed')
        } else staged.set(event.index, event.payload)
      } else if (event.kind === 'gaveup') burned.add(event.index)
      else if (event.kind === 'assembling') attempts = Math.max(attempts, event.payload.attempt)
      else if (event.kind === 'sealed') sealedBefore = event.payload
      else if (event.kind === 'state' && event.payload.state === 'sealing') sealNow = true
      else if (event.kind === 'state' && ['done', 'skipped', 'failed'].includes(event.payload.state)) over.abort()
      changed.ring()
    },
  })

  try {
    await journal.caughtUp
    if (!sealedBefore) {
      result.sealed = await write()
      sealedHere = true
    } else result.sealed = sealedBefore
  } catch (error) {
    if (!outer.aborted && !window.worthless.aborted && !over.signal.aborted) {
      const reason = error instanceof Error ? error.message : String(error)
      log.error({ ...holes, err: error }, 'the window file cannot be made')
      await announce(broker, assemblyFailed, holes, { reason }, { signal: outer })
    }
  }
  await journal.done
  return result

  async function write(): Promise<Sealed> {
    const attempt = attempts + 1
    await announce(broker, assembling, holes, { attempt, aggregator: `${parts.instance}.${parts.boot}` }, { signal })
    const seconds = { read: 0, encode: 0, tail: 0 }
    const inFile: number[] = []
    const ahead = new Map<number, Promise<Taken>>()
    let file: WindowFile | undefined

    const fetch = (index: number): Promise<Taken> => {
      let taken = ahead.get(index)
      if (!taken) {
        taken = takeGroup(parts.rollouts, staged.get(index)!, { index, rehearsal, gate }, profile, signal)
        taken.catch(() => {})
        ahead.set(index, taken)
      }
      return taken
    }

    const append = async (index: number, following: readonly number[]) => {
      const reading = clock.now()
      const pending = fetch(index)
      for (const next of following.slice(0, READ_AHEAD)) if (staged.has(next)) void fetch(next)
      const taken = await pending
      ahead.delete(index)
      seconds.read += (clock.now() - reading) / 1000
      if ('reason' in taken) return drop(index, staged.get(index)!.digest, taken.reason, taken.detail)
      const encoding = clock.now()
      file ??= openFile(attempt)
      await file.append(signGroup(taken.group, parts.hotkey, profile))
      seconds.encode += (clock.now() - encoding) / 1000
      inFile.push(index)
    }

    try {
      // While the window is open: the dense prefix, in order, as it comes.
      let next = 0
      while (!sealNow && clock.now() < window.timers.drainEndMs + CONTROLLER_GRACE_MS) {
        signal.throwIfAborted()
        if (staged.has(next)) {
          await append(next, [next + 1, next + 2])
          next++
        } else if (burned.has(next)) next++
        else await changed.wait(LOOK_MS, signal)
      }
      // The window is closed: what is left, as the hole policy has it, while there is time.
      const sealingMs = clock.now()
      const policy = writable([...staged.keys()], parts.holes)
      const rest = policy.filter(index => index >= next)
      for (const [i, index] of rest.entries()) {
        signal.throwIfAborted()
        if (clock.now() > window.timers.completeByMs - SEAL_RESERVE_MS) {
          for (const left of rest.slice(i))
            await drop(left, staged.get(left)!.digest, 'no-time', 'the deadline came first')
          break
        }
        await append(index, rest.slice(i + 1, i + 1 + READ_AHEAD))
      }
      const cut = new Set(policy)
      for (const [index, { digest }] of staged)
        if (!cut.has(index)) await drop(index, digest, 'behind-hole', 'the profile needs contiguous groups')
      const closed = await file?.close()
      const truncated = parts.holes === 'truncate' && cut.size < staged.size
      const hole = firstHole(inFile)
      seconds.tail = (clock.now() - sealingMs) / 1000
      const payload: Sealed = {
        attempt,
        bytes: closed?.bytes ?? 0,
        parts: closed?.parts ?? 0,
        groups: inFile.length,
        rows: closed?.rows ?? 0,
        sha256: closed?.sha256 ?? '',
        indices: ranges(inFile),
        ...(hole === undefined ? {} : { firstHole: hole }),
        truncated,
        rehearsal,
        seconds,
      }
      await announce(broker, sealed, holes, payload, { signal })
      log.info({ ...holes, groups: payload.groups, rows: payload.rows, bytes: payload.bytes, seconds }, 'file sealed')
      return payload
    } catch (error) {
      file?.abort(error instanceof Error ? error : new Error(String(error)))
      throw error
    }
  }

  function openFile(attempt: number): WindowFile {
    return openWindowFile(
      {
        wallet: parts.hotkey.ss58,
        windowStart: window.window,
        windowLength: WINDOW_BLOCKS,
        timestamp: clock.now() / 1000,
        rehearsal,
      },
      {
        profile,
        partBytes: parts.partBytes,
        onPart: async ({ number, bytes, last }) => {
          const object = partObject(window.window, window.epoch, attempt, number)
          await parts.parts.put(object, bytes, { signal })
          await announce(
            broker,
            partReady,
            holes,
            {
              attempt,
              number,
              object,
              bytes: bytes.byteLength,
              sha256: createHash('sha256').update(bytes).digest('hex'),
              md5: createHash('md5').update(bytes).digest('hex'),
              last,
            },
            { signal },
          )
        },
      },
    )
  }
}
