import type { Checkpoint } from '../../src/checkpoint/metadata.js'
import { weightsKey } from '../../src/checkpoint/weights-key.js'
import { bell } from '../bell.js'
import type { CheckpointName } from '../controller/messages.js'
import type { OpenWindow } from '../windows.js'
import type { Fetching, GeneratorParts } from './desk.js'
import type { Workshop } from './make-group.js'
import { otherWeights } from './weights.js'

/** A workshop in a lane's hands, from before its claim until its group is staged: so long its weights stay what they are. */
export interface Loan {
  readonly shop: Workshop
  /** Twice is harmless. */
  giveBack(): void
}

/**
 * The one workshop of this GPU and its changes. Invariant: a workshop is lent only for windows of the checkpoint it was
 * verified to hold, and weights change only while nothing is lent; so no group ever sees two checkpoints.
 */
export interface Equipment {
  /** What groups are made with now; undefined while weights change, and when they could not be changed. */
  shop(): Workshop | undefined
  /** Why nothing can be made now, for people; '' when something can. */
  trouble(): string
  holds(checkpoint: CheckpointName): boolean
  /** Takes a checkpoint that is at hand. What fails is told in `trouble` and the log, and tried again when a window wants it. */
  equip(checkpoint: Checkpoint): Promise<void>
  /** The workshop for a window's checkpoint, which is fetched and loaded first where needed; undefined when it cannot be had now. Rejects only when the signal has come. */
  borrow(window: OpenWindow): Promise<Loan | undefined>
  /** Takes the checkpoint of the next window, if nothing is lent: for `window` nothing is made here any more. */
  swap(window: OpenWindow, next: Checkpoint): Promise<void>
  /** The engine was found to hold other weights than it said: nothing is lent until they were loaded again. */
  distrust(shop: Workshop, why: string): void
  /** A group made with it was staged: what went wrong before it is over, and the next failure is a first one. */
  trust(shop: Workshop): void
  close(): Promise<void>
}

/** Wait after the first failure, ms, doubled with every further one of the same checkpoint, and the longest one: a canary takes as long. */
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 60_000
/** Waits are spread by this part of themselves, so that the GPUs of a host do not load at once time and again. */
const JITTER = 0.25
const NO_FAILURE = { key: '', times: 0, againAtMs: 0 }
/** Who waits for what is lent looks this often, ms. Groups come back from the engine by the end of draining; the judges of their rewards have limits of their own. */
const LENT_MS = 1_000

/**
 * @param options.onChange called after every change of what `shop` and `trouble` say, and only then: whoever looks again
 *   because of it must not cause the next one
 * @param options.onIdle called when nothing is lent any more
 */
export function keepEquipment(
  parts: Pick<GeneratorParts, 'checkpoint' | 'workshop' | 'close' | 'clock' | 'random' | 'log'>,
  options: { fetching: Fetching; onChange(): void; onIdle(): void; signal: AbortSignal },
): Equipment {
  const { fetching, onChange, onIdle, signal } = options
  const { clock, log } = parts
  const returned = bell()
  let held: { shop: Workshop; key: string } | undefined
  /** One whose weights are no more, but whose environment is still to be closed. */
  let worn: Workshop | undefined
  let lent = 0
  let trouble = ''
  /** The window and epoch for which nothing is made here any more. */
  let left = ''
  let failure = NO_FAILURE
  let changing: Promise<void> | undefined

  const epochOf = ({ window, epoch }: OpenWindow) => `${window}.${epoch}`
  const say = (text: string) => {
    trouble = text
    onChange()
  }

  function fail(key: string, error: Error): void {
    const times = failure.key === key ? failure.times + 1 : 1
    const ms = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (times - 1)) * (1 + JITTER * parts.random())
    failure = { key, times, againAtMs: clock.now() + ms }
    log.error({ checkpoint: key, err: error, againMs: Math.round(ms) }, 'this GPU makes no groups of this checkpoint')
    say(error.message)
  }

  /** One change at a time: who wants one meanwhile waits for it, and looks again. */
  function change(to: CheckpointName, find: () => Promise<Checkpoint | string>): Promise<void> {
    if (!changing && failure.key === weightsKey(to) && clock.now() < failure.againAtMs) return Promise.resolve()
    changing ??= attempt(to, find).finally(() => {
      changing = undefined
      onChange()
    })
    return changing
  }

  async function attempt(to: CheckpointName, find: () => Promise<Checkpoint | string>): Promise<void> {
    const key = weightsKey(to)
    try {
      say(`getting checkpoint ${to.window}`)
      const found = await find()
      if (typeof found === 'string') throw new Error(`no checkpoint: ${found}`)
      if (weightsKey(found.metadata) !== key)
        throw new Error(`there is checkpoint ${weightsKey(found.metadata)}, the window wants ${key}`)
      while (lent > 0 && !signal.aborted) await returned.wait(LENT_MS, signal)
      await load(found, key)
    } catch (error) {
      signal.throwIfAborted()
      fail(key, error as Error)
    }
  }

  async function load(checkpoint: Checkpoint, key: string): Promise<void> {
    const { window } = checkpoint.metadata
    const before = held?.shop ?? worn
    held = undefined
    worn = undefined
    say(`loading checkpoint ${window}`)
    const beganMs = clock.now()
    try {
      const shop = await parts.workshop(checkpoint, signal)
      const other = otherWeights(shop, checkpoint)
      if (other !== undefined) {
        worn = shop
        throw new Error(other)
      }
      held = { shop, key }
    } finally {
      // Also when it failed: the weights before are gone by then.
      await before?.environment.close()
    }
    // Loaded is not yet proven: failures of these weights count on until a group of them was staged.
    if (failure.key !== key) failure = NO_FAILURE
    log.info({ checkpoint: window, weightsHash: held.shop.facts.weightsHash, ms: clock.now() - beganMs }, 'equipped')
    say('')
  }

  function lend(shop: Workshop): Loan {
    lent++
    let out = true
    return {
      shop,
      giveBack() {
        if (!out) return
        out = false
        if (--lent > 0) return
        returned.ring()
        onIdle()
      },
    }
  }

  return {
    shop: () => held?.shop,
    trouble: () => trouble,
    holds: checkpoint => held?.key === weightsKey(checkpoint),
    equip: checkpoint => change(checkpoint.metadata, async () => checkpoint),

    async borrow(window) {
      const { checkpoint } = window.opened
      const key = weightsKey(checkpoint)
      await changing
      if (left === epochOf(window)) return undefined
      if (held?.key !== key) await change(checkpoint, () => parts.checkpoint(checkpoint, signal, fetching))
      if (changing !== undefined || held?.key !== key) return undefined
      if (trouble !== '') say('')
      return lend(held.shop)
    },

    async swap(window, next) {
      if (changing !== undefined || lent > 0) return
      left = epochOf(window)
      await change(next.metadata, async () => next)
    },

    distrust(shop, why) {
      if (held?.shop !== shop) return
      worn = shop
      const { key } = held
      held = undefined
      fail(key, new Error(why))
    },

    trust(shop) {
      if (held?.shop === shop) failure = NO_FAILURE
    },

    async close() {
      const last = held?.shop ?? worn
      held = undefined
      await parts.close()
      await last?.environment.close()
    },
  }
}
