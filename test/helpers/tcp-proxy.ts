import type { Socket } from 'node:net'
import { freePort } from './free-port.js'
import { startRelay } from './relay.js'

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
  const timers = new Set<NodeJS.Timeout>()
  let holed = false
  let delayMs = 0
  let accepted = 0

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

  function carry(client: Socket, upstream: Socket): void {
    accepted++
    // a connection that has lost packets stays lost
    let lost = holed
    const isHoled = () => {
      lost ||= holed
      return lost
    }
    pipe(client, upstream, isHoled)
    pipe(upstream, client, isHoled)
  }

  let relay = await startRelay(targetPort, carry, { port: await freePort() })
  const { port } = relay

  async function kill(): Promise<void> {
    const closed = relay.close()
    for (const timer of timers) clearTimeout(timer)
    timers.clear()
    await closed
  }

  return {
    port,
    connections: () => relay.pairs(),
    accepted: () => accepted,
    hole: on => {
      holed = on
    },
    delay: ms => {
      delayMs = ms
    },
    kill,
    restart: async () => {
      relay = await startRelay(targetPort, carry, { port })
    },
    close: kill,
  }
}
