import { once } from 'node:events'
import { connect } from 'node:net'

// Just enough of Redis' protocol (RESP2) for the baselines: commands in, replies out, in order. Lean on purpose: a baseline
// must not lose by its client.

/** What Redis answers; bulk strings come as bytes. */
export type Reply = Buffer | number | string | null | Reply[]

export interface Redis {
  /** One command and its reply. Rejects with what Redis refused, or when the connection ends. */
  command(...parts: (string | number | Uint8Array)[]): Promise<Reply>
  close(): void
}

export async function connectRedis(port: number): Promise<Redis> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true)
  await once(socket, 'connect')
  const waiting: { resolve(reply: Reply): void; reject(error: Error): void }[] = []
  let kept: Buffer[] = []
  let bytes = 0
  /** Bytes without which the next reply cannot be whole: large values come in many pieces. */
  let needed = 0

  socket.on('data', data => {
    kept.push(data)
    bytes += data.length
    if (bytes < needed) return
    const all = kept.length === 1 ? data : Buffer.concat(kept)
    let at = 0
    needed = 0
    while (at < all.length) {
      const read = reply(all, at)
      if (typeof read === 'number') {
        needed = read - at
        break
      }
      at = read.end
      const next = waiting.shift()
      if (read.value instanceof Error) next?.reject(read.value)
      else next?.resolve(read.value)
    }
    kept = at < all.length ? [all.subarray(at)] : []
    bytes = all.length - at
  })
  const end = (error: Error) => {
    for (const { reject } of waiting.splice(0)) reject(error)
  }
  socket.on('error', end)
  socket.on('close', () => end(new Error('the connection to Redis ended')))

  return {
    command(...parts) {
      let text = `*${parts.length}\r\n`
      for (const part of parts) {
        if (part instanceof Uint8Array) {
          socket.write(`${text}$${part.length}\r\n`)
          socket.write(part)
          text = '\r\n'
        } else {
          const said = String(part)
          text += `$${Buffer.byteLength(said)}\r\n${said}\r\n`
        }
      }
      socket.write(text)
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }))
    },
    close: () => socket.destroy(),
  }
}

/** A whole reply from `at`, or the position up to which bytes are needed at least. */
function reply(all: Buffer, at: number): { value: Reply | Error; end: number } | number {
  const line = all.indexOf('\r\n', at)
  if (line < 0) return all.length + 1
  const said = all.toString('latin1', at + 1, line)
  const end = line + 2
  switch (all[at]) {
    case 0x2b: // +
      return { value: said, end }
    case 0x2d: // -
      return { value: new Error(`Redis: ${said}`), end }
    case 0x3a: // :
      return { value: Number(said), end }
    case 0x24: {
      // $
      const length = Number(said)
      if (length < 0) return { value: null, end }
      if (all.length < end + length + 2) return end + length + 2
      return { value: all.subarray(end, end + length), end: end + length + 2 }
    }
    case 0x2a: {
      // *
      const count = Number(said)
      if (count < 0) return { value: null, end }
      const items: Reply[] = []
      let next = end
      for (let i = 0; i < count; i++) {
        const item = reply(all, next)
        if (typeof item === 'number') return item
        items.push(item.value as Reply)
        next = item.end
      }
      return { value: items, end: next }
    }
    default:
      return { value: new Error(`Redis said something else: ${said.slice(0, 80)}`), end }
  }
}
