import { startRelay } from './relay.js'

/** Something a client publishes, on its way to the server. */
export interface Published {
  subject: string
  /** Where the server's answer goes; '' when none is wanted. */
  reply: string
}

/** Where the connection stops when a publish is held. */
export type Hold =
  /** The server never gets it. */
  | 'before'
  /** The server gets it; its answer, and all that follows, never reaches the client. */
  | 'after'

/** A connection that stands still at a publish. */
export interface Held extends Published {
  /** Breaks the connection: its client connects anew and says again what was not answered. */
  release(): void
}

/** A proxy in front of a nats-server that reads along and stops a connection at a chosen message. */
export interface NatsProxy {
  url: string
  /**
   * Stops the connection at the first publish that matches, and resolves once it stands still: with 'after', when the
   * server's answer to it has come. The connection stays open and silent until it is released or its client dies; other
   * connections pass. Rejects when nothing matches for so long that nothing will.
   */
  hold(where: Hold, matches: (published: Published) => boolean): Promise<Held>
  close(): Promise<void>
}

interface Trap {
  where: Hold
  matches: (published: Published) => boolean
  sprung: (held: Held) => void
}

const LINE_END = Buffer.from('\r\n')
/** What is to be held comes within two windows of a test, ms; longer it is waited for in vain. */
const HOLD_MS = 100_000

/** A client's frame: one line of the protocol, with its payload if it has one (docs.nats.io, "Client Protocol": PUB and HPUB). */
interface Frame {
  bytes: Buffer
  published?: Published
}

/** Cuts what a client sends into frames, however it arrives in pieces. */
function frames(): (data: Buffer) => Frame[] {
  let rest: Buffer = Buffer.alloc(0)
  return data => {
    rest = rest.length === 0 ? data : Buffer.concat([rest, data])
    const found: Frame[] = []
    for (;;) {
      const end = rest.indexOf(LINE_END)
      if (end < 0) return found
      const [verb = '', subject = '', ...more] = rest.subarray(0, end).toString('latin1').split(' ')
      const isPublish = verb.toUpperCase() === 'PUB' || verb.toUpperCase() === 'HPUB'
      const numbers = verb.toUpperCase() === 'HPUB' ? 2 : 1
      const payload = isPublish ? Number(more.at(-1)) + LINE_END.length : 0
      const length = end + LINE_END.length + payload
      if (rest.length < length) return found
      const bytes = rest.subarray(0, length)
      rest = rest.subarray(length)
      found.push(
        isPublish
          ? { bytes, published: { subject, reply: more.length > numbers ? (more[0] as string) : '' } }
          : { bytes },
      )
    }
  }
}

/** @param port of the nats-server on loopback */
export async function natsProxy(port: number): Promise<NatsProxy> {
  const traps = new Set<Trap>()
  const untilClosed = new Set<() => void>()

  const relay = await startRelay(port, (client, upstream) => {
    const cut = frames()
    let deaf = false
    let mute = false
    /** A held publish whose answer is awaited. */
    let awaited: { reply: string; sprung: () => void } | undefined
    client.on('data', (data: Buffer) => {
      if (deaf) return
      for (const frame of cut(data)) {
        const { published } = frame
        const trap = published && [...traps].find(({ matches }) => matches(published))
        if (!trap || !published) {
          upstream.write(frame.bytes)
          continue
        }
        traps.delete(trap)
        deaf = true
        const held = { ...published, release: () => client.destroy() }
        if (trap.where === 'after') {
          awaited = { reply: published.reply, sprung: () => trap.sprung(held) }
          upstream.write(frame.bytes)
        } else {
          mute = true
          trap.sprung(held)
        }
        return
      }
    })
    upstream.on('data', (data: Buffer) => {
      // The answer names the reply subject; a message cut in two right there would be found with its other half.
      if (awaited && data.includes(` ${awaited.reply} `)) {
        mute = true
        awaited.sprung()
        awaited = undefined
      }
      if (!mute) client.write(data)
    })
  })
  return {
    url: `nats://127.0.0.1:${relay.port}`,
    hold: (where, matches) => {
      const asked = new Error(`nothing was published in ${HOLD_MS / 1_000} s that was to be held ${where} it is stored`)
      const held = new Promise<Held>((resolve, reject) => {
        const never = setTimeout(() => reject(asked), HOLD_MS)
        const sprung = (found: Held) => {
          clearTimeout(never)
          resolve(found)
        }
        traps.add({ where, matches, sprung })
        untilClosed.add(() => clearTimeout(never))
      })
      // A test may have failed before it waits for this.
      held.catch(() => {})
      return held
    },
    async close() {
      for (const end of untilClosed) end()
      await relay.close()
    },
  }
}
