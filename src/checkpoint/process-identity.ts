import { readFile, readlink } from 'node:fs/promises'

/** Tells one process from every other one of this host, also from a later one with its number. */
export interface ProcessIdentity {
  pid: number
  /** When it was started, in the kernel's ticks since boot; '' where the system does not tell. */
  started: string
  /** Which boot of the host, 32 hex digits; '' where the system does not tell. */
  boot: string
  /** Where its number counts: containers number their processes anew. '' where the system does not tell. */
  pidNamespace: string
}

/** This process. */
export async function thisProcess(): Promise<ProcessIdentity> {
  const { pid } = process
  return {
    pid,
    started: (await startOf(pid)) ?? '',
    boot: await bootId(),
    pidNamespace: (await readlink('/proc/self/ns/pid').catch(() => '')).replace(/\D/g, ''),
  }
}

/** Changes with every start of the host, 32 hex digits; '' where the system does not tell. */
export async function bootId(): Promise<string> {
  const id = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')
  return id.trim().replaceAll('-', '')
}

/** Whether a process is there: 'unknown' for one of another container of this host. A zombie is gone: it does nothing any more. */
export async function isAlive(other: ProcessIdentity, me: ProcessIdentity): Promise<boolean | 'unknown'> {
  if (other.boot !== me.boot) return false
  if (other.pidNamespace !== me.pidNamespace) return 'unknown'
  if (other.started !== '') return (await startOf(other.pid)) === other.started
  try {
    process.kill(other.pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Start of a process in ticks since boot; undefined when there is none, or only what is left of it. */
async function startOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  // The name, in brackets, may hold anything; behind it come the state and, 19 fields on, the start (proc(5)).
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields === undefined || fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
}
