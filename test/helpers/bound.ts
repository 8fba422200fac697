import { existsSync } from 'node:fs'

const SETPRIV = '/usr/bin/setpriv'

/**
 * A command line whose process dies with this one, however this one ends: a runner that kills a test that hangs would leave
 * its servers and actors behind otherwise. util-linux has it; without it they are left behind.
 */
export function boundToUs(command: string, args: readonly string[]): [string, string[]] {
  return existsSync(SETPRIV) ? [SETPRIV, ['--pdeathsig', 'KILL', '--', command, ...args]] : [command, [...args]]
}
