import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { Actor } from './actor-process.js'

/** Makes node open its inspector on any free port, once it is asked to by SIGUSR1. */
export const INSPECTABLE = ['--inspect-port=127.0.0.1:0']

const LISTENING = /Debugger listening on (ws:\/\/\S+)/
/** A process opens its inspector, and collects a heap of 100 MiB, in far less, ms. */
const PATIENCE_MS = 20_000
/** Objects that were waiting for their finalisers go with the second collection. */
const ROUNDS = 2

/** Bytes in use after all garbage was collected. */
export interface InUse {
  /** Objects of JavaScript. */
  heap: number
  /** What these hold outside of the heap: buffers, and the memory of wasm. */
  external: number
}

/** Collects all garbage of a process that was started with INSPECTABLE, from outside: what is left is in use. */
export async function collectGarbage(actor: Actor): Promise<InUse> {
  const socket = new WebSocket(await inspectorOf(actor))
  const signal = AbortSignal.timeout(PATIENCE_MS)
  try {
    await once(socket, 'open', { signal })
    let id = 0
    const call = async (method: string, params: object = {}): Promise<unknown> => {
      const mine = ++id
      socket.send(JSON.stringify({ id: mine, method, params }))
      for (;;) {
        const [data] = (await once(socket, 'message', { signal })) as [Buffer]
        const answer = JSON.parse(data.toString()) as { id?: number; result?: unknown }
        if (answer.id === mine) return answer.result
      }
    }
    for (let round = 0; round < ROUNDS; round++) await call('HeapProfiler.collectGarbage')
    const said = await call('Runtime.evaluate', { expression: 'process.memoryUsage()', returnByValue: true })
    const { heapUsed, external } = (said as { result: { value: NodeJS.MemoryUsage } }).result.value
    return { heap: heapUsed, external }
  } finally {
    socket.terminate()
  }
}

async function inspectorOf(actor: Actor): Promise<string> {
  const limit = Date.now() + PATIENCE_MS
  for (;;) {
    for (const line of actor.life) {
      const [, address] = LISTENING.exec(line) ?? []
      if (address) return address
    }
    if (Date.now() > limit) throw new Error(`${actor.name} does not open its inspector`)
    actor.signal('SIGUSR1')
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
