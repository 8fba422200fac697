import type { Socket } from 'node:net'
import { startRelay } from '../../test/helpers/relay.js'

/** A line between here and a server: so long, so wide, shared by all connections in each direction. */
export interface Link {
  port: number
  /** Bytes that went to the server. */
  sent(): number
  close(): Promise<void>
}

/** A sender is told to wait when so much is on its way, bytes: what a kernel's buffers hold on a wide line. */
const IN_FLIGHT_BYTES = 4 * 1024 * 1024

/**
 * @param rttMs round trip; opening a connection takes one more
 * @param bytesPerSecond of each direction
 */
export async function startLink(targetPort: number, rttMs: number, bytesPerSecond: number): Promise<Link> {
  let sent = 0
  /** When each direction has carried all it was given so far. */
  const free = { up: 0, down: 0 }

  function carry(from: Socket, to: Socket, way: 'up' | 'down', openMs: number): void {
    /** In the order they came: two timers of different length may fire the wrong way round. */
    const onTheWay: { dueMs: number; data: Buffer | undefined }[] = []
    let bytes = 0
    let armed = false
    const arrive = () => {
      armed = false
      for (let next = onTheWay[0]; next && next.dueMs <= performance.now(); next = onTheWay[0]) {
        onTheWay.shift()
        bytes -= next.data?.length ?? 0
        if (!next.data) to.end()
        else if (to.writable) to.write(next.data)
      }
      if (bytes <= IN_FLIGHT_BYTES) from.resume()
      arm()
    }
    const arm = () => {
      const [next] = onTheWay
      if (next && !armed) setTimeout(arrive, Math.max(1, Math.ceil(next.dueMs - performance.now())))
      armed = next !== undefined
    }
    const leave = (data: Buffer | undefined) => {
      const carriedMs = ((data?.length ?? 0) / bytesPerSecond) * 1_000
      free[way] = Math.max(free[way], performance.now(), openMs) + carriedMs
      onTheWay.push({ dueMs: free[way] + rttMs / 2, data })
      arm()
    }
    from.on('data', data => {
      if (way === 'up') sent += data.length
      bytes += data.length
      if (bytes > IN_FLIGHT_BYTES) from.pause()
      leave(data)
    })
    from.on('end', () => leave(undefined))
  }

  const bothWays = (client: Socket, upstream: Socket) => {
    client.setNoDelay(true)
    upstream.setNoDelay(true)
    const openMs = performance.now() + rttMs
    carry(client, upstream, 'up', openMs)
    carry(upstream, client, 'down', openMs)
  }
  const relay = await startRelay(targetPort, bothWays, { halfOpen: true })
  return { port: relay.port, sent: () => sent, close: relay.close }
}
