import { once } from 'node:events'
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net'

/** A loopback port whose every connection is paired with one to another port. What is carried between the two is the caller's. */
export interface Relay {
  readonly port: number
  /** Pairs of connections open at the moment. */
  pairs(): number
  /** Resets all connections and stops listening. Twice is harmless. */
  close(): Promise<void>
}

/**
 * @param targetPort on loopback
 * @param carry called once for every pair
 * @param options.port to listen on; default: a free one
 * @param options.halfOpen the end of one direction leaves the other open: only an error of one socket ends both, otherwise
 *   the end of either
 */
export async function startRelay(
  targetPort: number,
  carry: (client: Socket, upstream: Socket) => void,
  { port = 0, halfOpen = false }: { port?: number; halfOpen?: boolean } = {},
): Promise<Relay> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: halfOpen }, client => {
    const upstream = createConnection({ port: targetPort, host: '127.0.0.1', allowHalfOpen: halfOpen })
    carry(client, upstream)
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => {
        sockets.delete(one)
        if (!halfOpen || one.errored) other.destroy()
      })
    }
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    pairs: () => sockets.size / 2,
    async close() {
      const closed = server.listening ? once(server, 'close') : undefined
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
