import { randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import t from 'tap'
import { startLink } from '../../bench/tail/link.js'

const RTT_MS = 4
const BYTES = 3_000_000

t.test('a link carries every byte in order, both ways, and the ends of both', async t => {
  const echo = createServer({ allowHalfOpen: true }, socket => void socket.pipe(socket))
  echo.listen(0, '127.0.0.1')
  await once(echo, 'listening')
  const link = await startLink((echo.address() as AddressInfo).port, RTT_MS, 200e6)
  t.teardown(async () => {
    await link.close()
    echo.close()
  })
  const sent = randomFillSync(Buffer.alloc(BYTES))
  await Promise.all(
    Array.from({ length: 3 }, async () => {
      const beganMs = performance.now()
      const socket = connect({ port: link.port, host: '127.0.0.1', allowHalfOpen: true })
      // In pieces of all sizes: each has a due time of its own.
      for (let at = 0, size = 1; at < sent.length; at += size, size = Math.min(size * 2, 70_000))
        socket.write(sent.subarray(at, at + size))
      socket.end()
      const pieces: Buffer[] = []
      for await (const piece of socket) pieces.push(piece as Buffer)
      t.ok(Buffer.concat(pieces).equals(sent), 'what comes back is what was sent')
      t.ok(performance.now() - beganMs >= 2 * RTT_MS - 1, 'not before a connection and an answer could be there')
    }),
  )
  t.equal(link.sent(), 3 * BYTES, 'and it knows how much that was')
})
