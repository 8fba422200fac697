import { once } from 'node:events'
import { WebSocket } from 'ws'

/** A bare JSON-RPC client: what goes over the wire, as it is. */
export interface RpcClient {
  /** The whole answer: result or error. */
  call(
    method: string,
    ...params: unknown[]
  ): Promise<{ result?: unknown; error?: { code: number; message: string; data?: string } }>
  send(text: string): void
  /** The next message that is not an answer to `call`. */
  next(): Promise<{
    method?: string
    params?: { subscription: string; result: unknown }
    error?: unknown
    id?: unknown
  }>
  readonly closed: Promise<unknown>
  close(): void
}

export async function rpcClient(url: string): Promise<RpcClient> {
  const socket = new WebSocket(url)
  await once(socket, 'open')
  const waiting = new Map<number, (message: never) => void>()
  const others: never[] = []
  let wake: (() => void) | undefined
  let id = 0
  socket.on('message', data => {
    const message = JSON.parse(String(data))
    const resolve = waiting.get(message.id)
    if (resolve) {
      waiting.delete(message.id)
      resolve(message as never)
    } else {
      others.push(message as never)
      wake?.()
    }
  })
  return {
    call: async (method, ...params) => {
      const mine = ++id
      socket.send(JSON.stringify({ jsonrpc: '2.0', id: mine, method, params }))
      return await new Promise(resolve => waiting.set(mine, resolve as never))
    },
    send: text => socket.send(text),
    next: async () => {
      while (others.length === 0) {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
      return others.shift() as never
    },
    closed: once(socket, 'close'),
    close: () => socket.terminate(),
  }
}
