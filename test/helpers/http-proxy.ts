import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** What happens to one request on its way to the real server. */
export type Fault =
  /** It arrives and its answer comes back. */
  | { kind: 'pass' }
  /** It does not arrive: this answer comes instead. */
  | { kind: 'answer'; status: number; headers?: Record<string, string>; body?: string }
  /** It does not arrive: the connection is reset. */
  | { kind: 'reset' }
  /** It does not arrive and nothing is ever said. */
  | { kind: 'hang' }
  /** It arrives only then, whether or not its sender is still waiting. */
  | { kind: 'hold'; until: Promise<unknown> }
  /** It arrives and is carried out; the connection is reset before its answer. */
  | { kind: 'reset-after' }
  /** It arrives and is carried out; its answer never comes. */
  | { kind: 'hang-after' }
  /** It arrives and is carried out; another answer comes back. */
  | { kind: 'answer-after'; status: number; body?: string }
  /** The answer's body breaks off after so many bytes. */
  | { kind: 'cut'; bytes: number }
  /** Its body comes through in pieces of so many bytes, one every millisecond. */
  | { kind: 'slow'; bytes: number }

/** A request as faults are chosen by. */
export interface Passing {
  method: string
  /** Path and query. */
  url: string
  /** How many requests came before this one. */
  nth: number
  /** For people and tables: put, part, complete, open, abort, head, get, list, uploads, parts, delete. */
  what: string
}

export interface FaultyProxy {
  endpoint: string
  /** Requests so far, as `what` names them. */
  readonly seen: string[]
  /** Resolves as soon as a request of this sort has been carried out by the real server. */
  carriedOut(what: string): Promise<void>
  close(): Promise<void>
}

/** A proxy in front of a real S3 server that fails as told. Requests keep their Host header, so their signatures stay good. */
export async function startProxy(target: string, choose: (request: Passing) => Fault): Promise<FaultyProxy> {
  const seen: string[] = []
  const waiting: { what: string; done: () => void }[] = []
  const { hostname, port } = new URL(target)

  const server = createServer((incoming, outgoing) => {
    const { method = '', url = '' } = incoming
    const what = nameOf(method, url)
    const fault = choose({ method, url, nth: seen.length, what })
    seen.push(what)
    void serve(incoming, outgoing, fault, what).catch(() => outgoing.destroy())
  })

  async function serve(incoming: IncomingMessage, outgoing: ServerResponse, fault: Fault, what: string): Promise<void> {
    if (fault.kind === 'reset') {
      incoming.socket.resetAndDestroy()
      return
    }
    const body: Buffer[] = []
    for await (const chunk of incoming) body.push(chunk as Buffer)
    if (fault.kind === 'hang') return
    if (fault.kind === 'answer') {
      outgoing.writeHead(fault.status, fault.headers).end(fault.body ?? '')
      return
    }
    if (fault.kind === 'hold') await fault.until
    const step = fault.kind === 'slow' ? fault.bytes : Number.POSITIVE_INFINITY
    const answer = await forward(incoming, Buffer.concat(body), step)
    for (const entry of waiting.filter(entry => entry.what === what)) entry.done()
    if (fault.kind === 'hang-after') return
    if (fault.kind === 'reset-after') {
      incoming.socket.resetAndDestroy()
      return
    }
    if (fault.kind === 'answer-after') {
      outgoing.writeHead(fault.status).end(fault.body ?? '')
      return
    }
    // 'connection' belongs to the hop behind us.
    const { connection: _, ...headers } = answer.headers
    outgoing.writeHead(answer.status, headers)
    if (fault.kind === 'cut') {
      outgoing.write(answer.body.subarray(0, fault.bytes), () => outgoing.destroy())
      return
    }
    outgoing.end(answer.body)
  }

  async function forward(incoming: IncomingMessage, body: Buffer, step: number) {
    const { method, url: path, headers } = incoming
    const onward = request({ hostname, port, method, path, headers })
    const answered = new Promise<IncomingMessage>((resolve, reject) =>
      onward.on('response', resolve).on('error', reject),
    )
    for (let at = 0; at < body.length; at += step) {
      if (at > 0) await sleep(1)
      onward.write(body.subarray(at, at + step))
    }
    onward.end()
    const answer = await answered
    const chunks: Buffer[] = []
    for await (const chunk of answer) chunks.push(chunk as Buffer)
    return { status: answer.statusCode ?? 500, headers: answer.headers, body: Buffer.concat(chunks) }
  }

  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    carriedOut: what => new Promise(done => waiting.push({ what, done })),
    async close() {
      const closed = new Promise(resolve => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

function nameOf(method: string, url: string): string {
  const { searchParams, pathname } = new URL(url, 'http://any')
  if (searchParams.has('uploads')) return method === 'GET' ? 'uploads' : 'open'
  if (searchParams.has('uploadId'))
    return { PUT: 'part', POST: 'complete', DELETE: 'abort', GET: 'parts' }[method] ?? method
  if (method === 'GET' && pathname.split('/').filter(Boolean).length === 1) return 'list'
  return method.toLowerCase()
}
