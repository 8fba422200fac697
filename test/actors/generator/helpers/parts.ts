import type { Log } from '../../../../actors/actor.js'
import type { CheckpointName } from '../../../../actors/controller/messages.js'
import type { Fetching, GeneratorParts } from '../../../../actors/generator/desk.js'
import type { Workshop } from '../../../../actors/generator/make-group.js'
import type { OpenWindow } from '../../../../actors/windows.js'
import type { Checkpoint } from '../../../../src/checkpoint/metadata.js'
import type { Engine } from '../../../../src/engine/engine.js'
import { GRAIL_V5 } from '../../../../src/protocol/profile.js'
import { timersOf } from '../../../../src/window/deadline.js'

// A generator's outside world, in memory: a clock that a test moves, a bucket and an engine that do what a test says.

/** Time that passes when the test says so. */
export interface ManualClock {
  now(): number
  sleep(ms: number, signal: AbortSignal): Promise<void>
  /** Lets time pass and wakes who slept that long. */
  pass(ms: number): void
  /** How long was asked to sleep, ms, in order. */
  slept: number[]
}

export function manualClock(): ManualClock {
  let nowMs = 1_000_000
  const sleeping = new Set<{ untilMs: number; wake(): void }>()
  const slept: number[] = []
  return {
    slept,
    now: () => nowMs,
    sleep(ms, signal) {
      slept.push(ms)
      return new Promise(resolve => {
        const one = { untilMs: nowMs + ms, wake: resolve }
        if (signal.aborted) return resolve()
        sleeping.add(one)
        signal.addEventListener('abort', () => sleeping.delete(one) && resolve(), { once: true })
      })
    },
    pass(ms) {
      nowMs += ms
      for (const one of [...sleeping])
        if (one.untilMs <= nowMs) {
          sleeping.delete(one)
          one.wake()
        }
    },
  }
}

const HASHES: Record<number, string> = { 900: 'a'.repeat(32), 930: 'b'.repeat(32), 960: 'c'.repeat(32) }

/** What a window's events say of a checkpoint. */
export const named = (window: number, weightsHash = HASHES[window] ?? ''): CheckpointName => ({
  window,
  modelName: 'tiny',
  weightsHash,
  environment: 'sat',
})

export function checkpointOf(window: number, { metadataHash = HASHES[window] ?? '', filesHash = '' } = {}): Checkpoint {
  const generation = { maxTokens: 64, temperature: 1, topP: 1, topK: 0, repetitionPenalty: 1 }
  const mined = { environmentParams: {}, generation, thinkingMode: 'native' as const }
  return {
    metadata: { ...named(window, metadataHash), ...mined },
    folder: `/cache/checkpoint-${window}`,
    ...(filesHash === '' ? {} : { weightsHash: filesHash }),
  }
}

/** An open window that is mined with a checkpoint. */
export function windowOf(window: number, checkpoint: CheckpointName, epoch = 1): OpenWindow {
  const timers = timersOf(2_000_000, 10_000, 10_000)
  const opened = {
    profile: GRAIL_V5.id,
    hotkey: '5',
    hash: `0x${'0'.repeat(64)}`,
    randomness: '0'.repeat(64),
    block: window,
    startMs: 0,
    checkpoint,
    timers,
    maxGroups: 10,
  }
  const worthless = new AbortController().signal
  return { window, epoch, opened, timers, next: undefined, state: 'generating', why: '', final: false, worthless }
}

/** What an engine answers to a load: the weights it then reports, or why it fails. */
export type Load = { window?: number; weightsHash?: string } | Error

export interface Outside {
  parts: Pick<GeneratorParts, 'checkpoint' | 'workshop' | 'close' | 'clock' | 'random' | 'log'>
  clock: ManualClock
  /** Everything that was done, in order: `fetch 900 now`, `load 900`, `close environment 900`, `close engine`. */
  done: string[]
  /** What went to the log as a warning or an error. */
  complaints: string[]
  /** The next loads' answers; the right weights when there is none. */
  loads: Load[]
  /** The next fetches' answers; the checkpoint that was asked for when there is none. */
  fetches: (Checkpoint | string | Error)[]
  /** A load waits for what this gives. */
  beforeLoad: () => Promise<void>
  /** Signals of fetches, in order. */
  signals: AbortSignal[]
  /** A fetch waits for what this gives. */
  beforeFetch: () => Promise<void>
}

export function outside(engine: { rehearsal: boolean } = { rehearsal: false }): Outside {
  const clock = manualClock()
  const say = (facts: object, text: string) =>
    void it.complaints.push(`${text}: ${(facts as { err?: Error }).err?.message ?? ''}`)
  const log: Log = { debug: () => {}, info: () => {}, warn: say, error: say }
  const it: Outside = {
    clock,
    done: [],
    complaints: [],
    loads: [],
    fetches: [],
    signals: [],
    beforeLoad: async () => {},
    beforeFetch: async () => {},
    parts: {
      clock,
      log,
      random: () => 0.5,
      close: async () => void it.done.push('close engine'),
      async checkpoint(wanted, signal, fetching: Fetching) {
        it.done.push(`fetch ${wanted?.window} ${fetching.haste}`)
        it.signals.push(signal)
        const answer = it.fetches.shift() ?? checkpointOf(wanted?.window ?? 0)
        await it.beforeFetch()
        signal.throwIfAborted()
        if (answer instanceof Error) throw answer
        return answer
      },
      async workshop(checkpoint): Promise<Workshop> {
        const { metadata } = checkpoint
        it.done.push(`load ${metadata.window}`)
        await it.beforeLoad()
        const answer = it.loads.shift() ?? {}
        if (answer instanceof Error) throw answer
        const facts = {
          checkpointWindow: answer.window ?? metadata.window,
          modelName: metadata.modelName,
          weightsHash: answer.weightsHash ?? metadata.weightsHash,
          ...{ eosTokenId: 2, vocabSize: 10, maxPositions: 100 },
        }
        const environment = { close: async () => void it.done.push(`close environment ${metadata.window}`) }
        return { profile: GRAIL_V5, metadata, engine: engine as Engine, facts, environment } as Workshop
      },
    },
  }
  return it
}

/** Everything that can go on without time passing has gone on. */
export async function settled(): Promise<void> {
  const TURNS = 10
  for (let turn = 0; turn < TURNS; turn++) await new Promise(resolve => setImmediate(resolve))
}
