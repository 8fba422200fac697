import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** supervisorctl waits for programs to stop one after the other; nine of them with 20 s each never take longer. */
const CTL_MS = 180_000

export interface Ran {
  code: number
  text: string
}

function run(command: string, args: string[]): Ran {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: CTL_MS })
  if (error) return { code: 127, text: `${command}: ${error.message}` }
  return { code: status ?? 1, text: `${stdout}${stderr}`.trim() }
}

/** supervisorctl on the fleet of a state folder. */
export function supervisorctl(state: string, ...args: string[]): Ran {
  return run('supervisorctl', ['-c', join(state, 'supervisord.conf'), ...args])
}

/** Starts supervisord in the background. */
export function startSupervisord(state: string): Ran {
  return run('supervisord', ['-c', join(state, 'supervisord.conf')])
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Process id of the running supervisord of a state folder; undefined when none runs. */
export function supervisordPid(state: string): number | undefined {
  const file = join(state, 'supervisord.pid')
  if (!existsSync(file)) return undefined
  const pid = Number(readFileSync(file, 'utf8').trim())
  return Number.isInteger(pid) && pid > 0 && isAlive(pid) ? pid : undefined
}

export interface Program {
  name: string
  state: string
  pid?: number
  detail: string
}

/** Every program of the fleet as supervisord sees it. */
export function programStates(state: string): Program[] {
  return supervisorctl(state, 'status')
    .text.split('\n')
    .flatMap(line => {
      const [, name, status, detail = ''] = /^(\S+)\s+([A-Z]+)\s*(.*)$/.exec(line) ?? []
      if (name === undefined || status === undefined) return []
      const pid = /pid (\d+)/.exec(detail)?.[1]
      return [{ name, state: status, detail, ...(pid === undefined ? {} : { pid: Number(pid) }) }]
    })
}
