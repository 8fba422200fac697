import { renameSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { packageRoot } from '../../src/package-root.js'

/** What goes wrong at the server that stands in for a real one. */
export interface ServerControl {
  trouble?:
    | 'garbage'
    | 'out-of-memory'
    | 'hold'
    | 'early'
    | 'past-eos'
    | 'bad-id'
    | 'not-a-number'
    | 'no-ids'
    | 'no-lora'
  /** Also with generations of one or two tokens, as health checks are. */
  probes?: boolean
  start?: 'waits' | 'crashes'
  /** cached: the prefix cache is in use and is not reset. */
  weights?: 'refused' | 'stale' | 'cached'
  /** SIGTERM is ignored. */
  stubborn?: boolean
}

export interface StandIn {
  /** To be named as the server's program. */
  program: string
  env: Record<string, string>
  set(control: ServerControl): void
}

/** A program in `folder` that behaves as a generation server, and the means to let it misbehave. */
export async function standInServer(folder: string, name = 'server'): Promise<StandIn> {
  const control = join(folder, `${name}.json`)
  const program = join(folder, name)
  const node = import.meta.url.endsWith('.js')
    ? `"${process.execPath}" "${join(packageRoot, 'dist', 'test', 'helpers', 'generation-server.js')}"`
    : `"${process.execPath}" --import tsx "${join(packageRoot, 'test', 'helpers', 'generation-server.ts')}"`
  await writeFile(program, `#!/bin/sh\ncd "${packageRoot}"\nexec ${node} "$@"\n`, { mode: 0o700 })
  // Whole or not at all: the server may read at any moment.
  const set = (next: ServerControl): void => {
    writeFileSync(`${control}.next`, JSON.stringify(next))
    renameSync(`${control}.next`, control)
  }
  set({})
  return { program, env: { STAND_IN: control, PATH: '/usr/bin:/bin' }, set }
}
