import { setMaxListeners } from 'node:events'
import { RewardError } from '../environment.js'
import { type Job, type JobReply, type Nursery, startNursery } from './nursery.js'

export interface JudgePool {
  /** What the judges say of themselves; the same for all of them. */
  readonly facts: Nursery['facts']
  /**
   * Runs one job in a process of its own; waits for a free judge. A job whose process crashes is tried three times, as in the reference.
   * @returns what the job said: all of it, or up to its time limit
   * @throws RewardError when it could not be judged, and the signal's reason when that aborts
   */
  judge(job: Job, signal: AbortSignal): Promise<{ timedOut: boolean; parts: unknown[] }>
  /** Kills all judges; jobs under way reject. Idempotent. */
  close(): void
}

export interface JudgePoolOptions {
  python: string
  /** Job module of src/environment/python, without .py. */
  module: string
  /** Judges at once. */
  workers: number
}

/** Jobs after which a judge is replaced (grail/environments/execution.py:997, max_tasks_per_child, 54d6342). */
const JOBS_PER_JUDGE = 50
/** Tries of a job that ended without a verdict (grail/environments/execution.py:check_code_executes_fast, 54d6342). */
const ATTEMPTS = 3

/**
 * Starts a pool of judging processes; the first one now, to know that it works, the others when needed.
 * @throws RewardError when that one does not start
 */
export async function startJudgePool({ python, module, workers }: JudgePoolOptions): Promise<JudgePool> {
  const first = await startNursery(python, module)
  const idle: Nursery[] = [first]
  const all = new Set<Nursery>(idle)
  const waiting: (() => void)[] = []
  let free = workers
  let closed = false

  const closedError = () => new RewardError(`the judges of ${module} are closed`)
  const discard = (nursery: Nursery) => {
    nursery.kill()
    all.delete(nursery)
  }

  async function withJudge<T>(signal: AbortSignal, use: (nursery: Nursery) => Promise<T>): Promise<T> {
    await place(signal)
    let nursery: Nursery | undefined
    try {
      if (closed) throw closedError()
      nursery = idle.pop() ?? (await startNursery(python, module))
      all.add(nursery)
      if (closed) throw closedError()
      const result = await use(nursery)
      if (nursery.served < JOBS_PER_JUDGE) {
        idle.push(nursery)
        nursery = undefined
      }
      return result
    } finally {
      if (nursery) discard(nursery)
      free++
      waiting.shift()?.()
    }
  }

  /** Takes one of the places; when none is free, in order of asking. */
  async function place(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    while (free === 0) {
      if (closed) throw closedError()
      await new Promise<void>((resolve, reject) => {
        const wake = () => {
          signal.removeEventListener('abort', giveUp)
          resolve()
        }
        const giveUp = () => {
          waiting.splice(waiting.indexOf(wake), 1)
          reject(signal.reason)
        }
        signal.addEventListener('abort', giveUp, { once: true })
        waiting.push(wake)
      })
    }
    free--
  }

  return {
    facts: first.facts,
    async judge(job, signal) {
      let why = ''
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        let reply: JobReply
        try {
          reply = await withJudge(signal, nursery => nursery.judge(job, signal))
        } catch (cause) {
          if (closed || !(cause instanceof RewardError)) throw cause
          why = cause.message
          continue
        }
        if (reply.outcome === 'done' || reply.outcome === 'timeout')
          return { timedOut: reply.outcome === 'timeout', parts: reply.parts }
        why = `its process ${reply.outcome}: ${reply.detail}`
      }
      throw new RewardError(`an answer could not be judged in ${ATTEMPTS} tries: ${why}`)
    },
    close() {
      closed = true
      for (const nursery of all) discard(nursery)
      for (const wake of waiting.splice(0)) wake()
    },
  }
}

/** Judges all completions of a group at once. The first that cannot be judged ends the others: the group is lost anyway. */
export async function judgeAll<T>(
  texts: readonly string[],
  judge: (text: string, signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<T[]> {
  const lost = new AbortController()
  const either = AbortSignal.any([signal, lost.signal])
  // every text under way listens, twice at most
  setMaxListeners(2 * texts.length, either)
  return await Promise.all(
    texts.map(async text => {
      try {
        return await judge(text, either)
      } catch (cause) {
        lost.abort(cause)
        throw cause
      }
    }),
  )
}
