import { createHash } from 'node:crypto'
import { announce } from '../../nats/index.js'
import { WINDOW_BLOCKS } from '../../src/window/block.js'
import { firstHole, writable } from '../../src/window/holes.js'
import type { SignedGroup } from '../../src/window/parquet/row.js'
import { openWindowFile, type WindowFile } from '../../src/window/parquet/writer.js'
import { expectationOf } from '../expectation.js'
import type { Staged } from '../generator/messages.js'
import { rangesOf } from '../ranges.js'
import type { OpenWindow } from '../windows.js'
import { partObject, partReady, type Sealed } from './messages.js'
import type { AssemblyParts } from './options.js'
import { signGroup } from './sign.js'
import { type Taken, takeGroup } from './take.js'

/** Groups read ahead of the one being written: one hides the store's round trip, more only cost memory. */
const READ_AHEAD = 2
/**
 * Groups made ready, but for their place in the file, behind one that is still being made. When draining ends, as many may wait as groups
 * are in flight in the whole fleet: of these only the encoding is left then. 0.7 MB each, of 1,200 tokens.
 */
const READY_AHEAD = 32
/**
 * What is not appended so long before the upload is given up stays out, ms: footer, last part and Complete still have to happen. They take
 * the tail that the timers leave them; on a fast line no less than the first of these is left, on a slow one no more than the other.
 */
const SEAL_RESERVE_MS = { least: 1_500, most: 3_500 }
/** The controller's word is waited for this long after draining should have ended. */
const CONTROLLER_GRACE_MS = 500

/** What is known of the window while its file is written. */
export interface Gathering {
  /** First staged group of an index, in the journal's order. */
  readonly staged: ReadonlyMap<number, Staged>
  /** Indices their generator has given up. */
  readonly burned: ReadonlySet<number>
  isDropped(index: number): boolean
  drop(index: number, reason: string, detail: string): Promise<void>
  /** The controller has said so. */
  sealNow(): boolean
  /** Resolves when something has changed, or after a moment. */
  look(): Promise<void>
  /** Throws when another aggregator makes the file. To be asked before anything that cannot be taken back. */
  stillOurs(): Promise<void>
}

/**
 * One attempt at a window's file: takes staged groups in order as they come, until the window is closed; then what is left, as
 * the hole policy has it, while there is time. Parts are handed out as they fill.
 * @param attempt 1-based, named in everything that is said about it
 * @returns the seal, not yet announced
 */
export async function writeFile(
  window: OpenWindow,
  attempt: number,
  { staged, burned, isDropped, drop, sealNow, look, stillOurs }: Gathering,
  parts: AssemblyParts,
  signal: AbortSignal,
): Promise<Sealed> {
  const { clock, profile } = parts
  const holes = { window: window.window, epoch: window.epoch }
  const rehearsal = window.opened.checkpoint.modelName === 'rehearsal'
  let gate = expectationOf({ ...holes, opened: window.opened })
  const contiguous = parts.holes === 'truncate'
  const seconds = { read: 0, encode: 0, tail: 0 }
  const inFile: number[] = []
  const ahead = new Map<number, Promise<Taken>>()
  /** Groups made ready ahead; undefined for one that was refused. */
  const ready = new Map<number, SignedGroup | undefined>()
  let file: WindowFile | undefined

  const fetch = (index: number): Promise<Taken> => {
    let taken = ahead.get(index)
    if (!taken) {
      taken = takeGroup(parts.rollouts, staged.get(index)!, { index, rehearsal, gate }, profile, signal)
      // What cannot be read now is there to be read later.
      taken.catch(() => ahead.delete(index))
      ahead.set(index, taken)
    }
    return taken
  }

  /**
   * Where the checkpoint's metadata carries no hash, what was staged first says which weights the file is of: in the journal's
   * order, so that every attempt comes to the same, whatever was staged or dropped meanwhile.
   */
  const pinWeights = async () => {
    if (gate.weightsHash !== undefined) return
    for (const index of staged.keys()) {
      const taken = await fetch(index)
      if ('reason' in taken) continue
      gate = { ...gate, weightsHash: taken.group.model.weightsHash }
      return
    }
  }

  /** Makes the next group behind `missing` ready that is not. False when there is none, or enough are. */
  const makeReady = async (missing: number): Promise<boolean> => {
    if (ready.size >= READY_AHEAD) return false
    let index = Number.POSITIVE_INFINITY
    for (const one of staged.keys()) if (one > missing && one < index && !ready.has(one) && !isDropped(one)) index = one
    if (!staged.has(index)) return false
    let taken: Taken
    try {
      await pinWeights()
      taken = await fetch(index)
    } catch {
      // In its turn it is read again, and complained of.
      return false
    }
    const signing = clock.now()
    ready.set(index, 'reason' in taken ? undefined : signGroup(taken.group, parts.hotkey, profile))
    seconds.encode += (clock.now() - signing) / 1000
    return true
  }

  const append = async (index: number, following: readonly number[]) => {
    const reading = clock.now()
    await pinWeights()
    const pending = fetch(index)
    for (const next of following.slice(0, READ_AHEAD)) if (staged.has(next)) void fetch(next)
    const taken = await pending
    ahead.delete(index)
    const signed = ready.get(index)
    ready.delete(index)
    seconds.read += (clock.now() - reading) / 1000
    if ('reason' in taken) {
      await stillOurs()
      return drop(index, taken.reason, taken.detail)
    }
    const encoding = clock.now()
    file ??= open()
    await file.append(signed ?? signGroup(taken.group, parts.hotkey, profile))
    seconds.encode += (clock.now() - encoding) / 1000
    inFile.push(index)
  }

  try {
    // While the window is open: the dense prefix, in order, as it comes. A hole that will never be filled is passed over,
    // or ends the file.
    let next = 0
    while (!sealNow() && clock.now() < window.timers.drainEndMs + CONTROLLER_GRACE_MS) {
      signal.throwIfAborted()
      if (staged.has(next) && !isDropped(next)) await append(next, [next + 1, next + 2])
      else if (!contiguous && (burned.has(next) || staged.has(next))) next++
      else if (!(await makeReady(next))) await look()
      if (inFile.at(-1) === next) next++
    }
    // The window is closed.
    const sealingMs = clock.now()
    const present = [...staged.keys()].filter(index => !isDropped(index))
    const wanted = new Set(writable(present, parts.holes))
    const { completeByMs, drainEndMs, abortAtMs } = window.timers
    const { least, most } = SEAL_RESERVE_MS
    // An aggregator that took over too late to complete in time has whatever is left.
    const reserveMs = inFile.length === 0 ? least : Math.min(most, Math.max(least, completeByMs - drainEndMs))
    const untilMs = abortAtMs - reserveMs
    const rest = [...wanted].filter(index => inFile.length === 0 || index > inFile.at(-1)!)
    for (const [i, index] of rest.entries()) {
      if (clock.now() > untilMs) {
        await stillOurs()
        for (const left of rest.slice(i)) await drop(left, 'no-time', 'the deadline came first')
        break
      }
      signal.throwIfAborted()
      await append(index, rest.slice(i + 1, i + 1 + READ_AHEAD))
      if (contiguous && inFile.at(-1) !== index) break
    }
    await stillOurs()
    if (contiguous)
      for (const index of present)
        if (!inFile.includes(index) && !isDropped(index))
          await drop(index, 'behind-hole', 'the profile needs contiguous groups')
    const closed = await file?.close()
    await stillOurs()
    const hole = firstHole(inFile)
    seconds.tail = (clock.now() - sealingMs) / 1000
    return {
      attempt,
      bytes: closed?.bytes ?? 0,
      parts: closed?.parts ?? 0,
      groups: inFile.length,
      rows: closed?.rows ?? 0,
      sha256: closed?.sha256 ?? '',
      indices: rangesOf(inFile),
      ...(hole === undefined ? {} : { firstHole: hole }),
      truncated: contiguous && inFile.length < staged.size,
      rehearsal,
      seconds,
    }
  } catch (error) {
    file?.abort(error instanceof Error ? error : new Error(String(error)))
    throw error
  }

  function open(): WindowFile {
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
          const { sha256 } = await parts.parts.put(object, bytes, { signal })
          const md5 = createHash('md5').update(bytes).digest('hex')
          const facts = { bytes: bytes.byteLength, sha256, md5, last }
          await announce(parts.broker, partReady, holes, { attempt, number, object, ...facts }, { signal })
        },
      },
    )
  }
}
