import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/** A process by what no other process of this boot shares: its id and the moment it started. */
export interface ProcessId {
  pid: number
  /** Clock ticks since boot, field 22 of /proc/<pid>/stat. */
  startTicks: number
}

export interface ProcessFacts extends ProcessId {
  pgid: number
}

/** Positions behind the command's name, which may itself hold spaces and brackets (proc_pid_stat(5)). */
const STATE = 0
const PGRP = 2
const START_TIME = 19

/** Of a live process; undefined when there is none (a zombie is none), or where there is no /proc. */
export async function processFacts(pid: number): Promise<ProcessFacts | undefined> {
  let stat: string
  try {
    stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (fields[STATE] === 'Z' || fields[STATE] === 'X') return undefined
  return { pid, pgid: Number(fields[PGRP]), startTicks: Number(fields[START_TIME]) }
}

/** Every live process of the group. */
export async function groupMembers(pgid: number): Promise<ProcessFacts[]> {
  const entries = await readdir('/proc').catch(() => [])
  const found = await Promise.all(entries.filter(name => /^\d+$/.test(name)).map(name => processFacts(Number(name))))
  return found.filter(facts => facts !== undefined).filter(facts => facts.pgid === pgid)
}

/** How often a dying group is looked at, ms. */
const LOOK_EVERY_MS = 50

/** Waits until nobody in the group lives. @returns false when somebody still does after `ms` */
export async function groupGoneWithin(pgid: number, ms: number): Promise<boolean> {
  for (let waited = 0; (await groupMembers(pgid)).length > 0; waited += LOOK_EVERY_MS) {
    if (waited >= ms) return false
    await sleep(LOOK_EVERY_MS)
  }
  return true
}

/** Tells boots apart: process ids and start ticks begin anew with each. '' where the kernel does not say. */
export async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim()
}
