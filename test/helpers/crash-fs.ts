import fs from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

type Call = (...args: never[]) => Promise<unknown>

const CALLS = ['mkdir', 'open', 'readdir', 'readFile', 'rename', 'rm', 'stat', 'utimes'] as const
const HANDLE_CALLS = ['read', 'write', 'sync', 'close'] as const

/** What became of a piece of work whose process stopped at a call. */
export interface Crash {
  /** The call it stopped at, e.g. 'rename'; undefined when the work came to its end before. */
  at: string | undefined
}

/**
 * Runs `work` as a process that is killed at its `nth` call of the file system (the first is 1): that call is not carried
 * out, or half carried out when it writes, and nothing after it ever is, clean-up included. What is on the disk stays.
 */
export async function crashAt(nth: number, work: () => Promise<unknown>): Promise<Crash> {
  const real = fs.promises as unknown as Record<string, Call>
  const saved = new Map(CALLS.map(name => [name, real[name] as Call]))
  let calls = 0
  let dead = false
  let stopped: (crash: Crash) => void = () => {}
  const crash = new Promise<Crash>(resolve => {
    stopped = resolve
  })
  const forever = new Promise<never>(() => {})

  const counted =
    (name: string, call: Call, half?: Call): Call =>
    (...args) => {
      calls++
      if (dead) return forever
      if (calls < nth) return call(...args)
      dead = true
      void (half ? half(...args) : Promise.resolve()).then(() => stopped({ at: name }))
      return forever
    }
  const closes: (() => Promise<unknown>)[] = []
  const handle = (file: FileHandle): FileHandle => {
    closes.push(file.close.bind(file))
    const methods = file as unknown as Record<string, Call>
    for (const name of HANDLE_CALLS) {
      const call = (methods[name] as Call).bind(file)
      methods[name] = counted(name, call, name === 'write' ? (...args) => writeHalf(call, args) : undefined)
    }
    return file
  }
  const writeHalf = (call: Call, args: never[]) => {
    const [buffer, at, length] = args as unknown as [Uint8Array, number, number]
    return (call as unknown as (...args: unknown[]) => Promise<unknown>)(buffer, at, Math.floor(length / 2))
  }

  for (const [name, call] of saved)
    real[name] = counted(name, name === 'open' ? async (...args) => handle((await call(...args)) as FileHandle) : call)
  syncBuiltinESMExports()
  try {
    return await Promise.race([crash, work().then(() => ({ at: undefined }))])
  } finally {
    for (const [name, call] of saved) real[name] = call
    syncBuiltinESMExports()
    // The system closes what a killed process had open.
    if (dead) await Promise.allSettled(closes.map(close => close()))
  }
}
