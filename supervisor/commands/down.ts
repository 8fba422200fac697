import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { isAlive, programStates, supervisorctl, supervisordPid } from '../rehearsal/supervisorctl.js'
import type { CommandIo } from './io.js'

/** Actors put their work down within seconds; supervisord kills what has not ended after 20 s each. */
const STOP_MS = 90_000
const LOOK_MS = 100

/** `grail down`: stops what `grail up` started and waits until nothing of it is left. */
export async function downCommand(args: string[], io: CommandIo): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { state: { type: 'string', default: '.grail' }, help: { type: 'boolean' } },
  })
  if (values.help) {
    io.out('usage: grail down [--state .grail]')
    return 0
  }
  const state = resolve(values.state)
  const supervisord = supervisordPid(state)
  if (supervisord === undefined) {
    io.out(`nothing runs from ${state}`)
    return 0
  }
  const programs = programStates(state)
  const pids = [supervisord, ...programs.flatMap(({ pid }) => (pid === undefined ? [] : [pid]))]
  // The fleet first, so that it can say goodbye to a broker that is still there.
  supervisorctl(state, 'stop', 'grail:*')
  const asked = supervisorctl(state, 'shutdown')
  if (asked.code !== 0) io.err(`supervisorctl shutdown: ${asked.text}`)
  const end = Date.now() + STOP_MS
  while (pids.some(isAlive) && Date.now() < end) await sleep(LOOK_MS)
  const left = pids.filter(isAlive)
  if (left.length > 0) {
    io.err(`still running after ${STOP_MS / 1000} s: processes ${left.join(', ')}; see ${join(state, 'log')}`)
    return 1
  }
  io.out(`stopped: ${pids.length} processes, none left`)
  return 0
}
