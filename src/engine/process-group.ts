import { setTimeout as sleep } from 'node:timers/promises'

/** A process that survives SIGKILL this long hangs in the kernel. */
const KILL_MS = 10_000

/** Signals every process of the group; a group that is gone already is fine. */
export function signalGroup(pgid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pgid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function within(exited: Promise<unknown>, ms: number): Promise<boolean> {
  const timer = new AbortController()
  const outcome = await Promise.race([
    exited.then(() => true),
    sleep(ms, false, { signal: timer.signal }).catch(() => false),
  ])
  timer.abort()
  return outcome
}

/**
 * Ends a child that leads a process group, and all of that group: SIGTERM, a bounded wait, SIGKILL.
 * @param exited resolves when the child itself is gone
 * @param termMs how long it may take to end by itself, ms
 * @throws Error when the child survives SIGKILL
 */
export async function endGroup(pgid: number, exited: Promise<unknown>, termMs: number): Promise<void> {
  signalGroup(pgid, 'SIGTERM')
  await within(exited, termMs)
  // Also after a good end: a child of the child may still be there. Its group's number is not given away while it is.
  signalGroup(pgid, 'SIGKILL')
  if (!(await within(exited, KILL_MS)))
    throw new Error(`process ${pgid} survived SIGKILL for ${KILL_MS / 1_000} s: it hangs in the kernel`)
}
