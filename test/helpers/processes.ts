import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { groupMembers } from '../../src/engine/server/processes.js'

/** Resolves when no process has this id: `tail` waits for processes that are not its children. */
export async function gone(pid: number): Promise<void> {
  await once(spawn('tail', [`--pid=${pid}`, '-f', '/dev/null'], { stdio: 'ignore' }), 'exit')
}

/** Does nobody in the group live? One that has ended and was not waited for yet does not. */
export async function groupIsGone(pgid: number): Promise<boolean> {
  return (await groupMembers(pgid)).length === 0
}
