import { once } from 'node:events'
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net'

/** A TCP proxy on a loopback port that can misbehave as networks do. */
export interface TcpProxy {
  readonly port: number
  /** Connections open at the moment. */
  connections(): number
  /** Connections accepted so far. */
  accepted(): number
  /** Packets vanish in both directions while connections stay open: a half-open link. `false` lets new connections through again. */
  hole(on: boolean): void
  /** Delays every chunk by this many ms, in both directions. */
  delay(ms: number): void
  /** Resets all connections and stops listening. */
  kill(): Promise<void>
  /** Listens again on the same port. */
  restart(): Promise<void>
  close(): Promise<void>
}

export async function tcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  const timers = new Set<NodeJS.Timeout>()
  let holed = false
  let delayMs = 0
  let accepted = 0
  let server: Server = createServer()

  function pipe(from: Socket, to: Socket, isHoled: () => boolean): void {
    from.on('data', data => {
      if (isHoled()) return
      if (delayMs === 0) {
        to.write(data)
        return
      }
      const timer = setTimeout(() => {
        timers.delete(timer)
        if (to.writable) to.write(data)
      }, delayMs)
      timers.add(timer)
    })
  }

  function accept(client: Socket): void {
    accepted++
    const upstream = createConnection(targetPort, '127.0.0.1')
    // a connection that has lost packets stays lost
    let lost = holed
    const isHoled = () => {
      lost ||= holed
      return lost
    }
    pipe(client, upstream, isHoled)
    pipe(upstream, client, isHoled)
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
    }
  }

  async function listen(port: number): Promise<number> {
    server = createServer(accept)
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }

  async function kill(): Promise<void> {
    const closed = server.listening ? new Promise(resolve => server.close(resolve)) : undefined
    for (const socket of sockets) socket.destroy()
    for (const timer of timers) clearTimeout(timer)
    timers.clear()
    await closed
  }

  const port = await listen(0)
  return {
    port,
    connections: () => sockets.size / 2,
    accepted: () => accepted,
    hole: on => {
      holed = on
    },
    delay: ms => {
      delayMs = ms
    },
    kill,
    restart: async () => {
      await listen(port)
    },
    close: kill,
  }
}
