import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import * as z from 'zod'
import type { Method } from './node-rpc.js'
import { INVALID_PARAMS, METHOD_NOT_FOUND, RpcError } from './rpc-error.js'
import { createSession, type SessionHandle } from './session.js'

const Request = z.object({
  id: z.union([z.number(), z.string()]),
  method: z.string(),
  params: z.array(z.unknown()).default([]),
})

/** A message larger than this closes the connection; the largest here, an extrinsic, has under 1 KB. */
const MAX_MESSAGE_BYTES = 1_048_576

export interface RpcServer {
  port: number
  /** Connections other than `session` stay open, but nothing is answered or sent on them any more. */
  silenceOthers(session: unknown): void
  close(): Promise<void>
}

/** Serves JSON-RPC 2.0 over WebSocket. Throws what listening throws, e.g. EADDRINUSE. */
export async function serve(
  { host, port }: { host: string; port: number },
  methods: () => Record<string, Method>,
): Promise<RpcServer> {
  const http = createServer((_request, response) => {
    response.writeHead(426, { upgrade: 'websocket' }).end('JSON-RPC over WebSocket only\n')
  })
  const sockets = new WebSocketServer({ server: http, maxPayload: MAX_MESSAGE_BYTES })
  // errors of the http server are reported by the promise below; ws repeats them here
  sockets.on('error', () => {})
  const silent = new Set<SessionHandle>()
  const sessions = new Set<SessionHandle>()

  sockets.on('connection', socket => {
    const session: SessionHandle = createSession(message => {
      if (!silent.has(session) && socket.readyState === socket.OPEN) socket.send(JSON.stringify(message))
    })
    sessions.add(session)
    socket.on('message', data => {
      if (!silent.has(session)) respond(socket, session, methods(), String(data))
    })
    socket.on('error', () => socket.terminate())
    socket.on('close', () => {
      sessions.delete(session)
      silent.delete(session)
      session.close()
    })
  })

  http.listen(port, host)
  await once(http, 'listening')
  return {
    port: (http.address() as AddressInfo).port,
    silenceOthers: caller => {
      for (const session of sessions) if (session !== caller) silent.add(session)
    },
    close: async () => {
      for (const socket of sockets.clients) socket.terminate()
      sockets.close()
      await new Promise(resolve => http.close(resolve))
    },
  }
}

function respond(socket: WebSocket, session: SessionHandle, methods: Record<string, Method>, text: string): void {
  const answer = (message: object) => socket.send(JSON.stringify({ jsonrpc: '2.0', ...message }))
  const request = parse(text)
  if (!request) {
    answer({ id: null, error: { code: -32600, message: 'Invalid request' } })
    return
  }
  try {
    const method = Object.hasOwn(methods, request.method) ? methods[request.method] : undefined
    if (!method) throw new RpcError(METHOD_NOT_FOUND, 'Method not found', request.method)
    answer({ id: request.id, result: method(request.params, session) ?? null })
  } catch (error) {
    answer({ id: request.id, error: errorJson(error) })
  }
  session.settle()
}

function parse(text: string): z.infer<typeof Request> | undefined {
  try {
    return Request.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

function errorJson(error: unknown): object {
  if (error instanceof RpcError) return { code: error.code, message: error.message, data: error.data }
  if (error instanceof z.ZodError) {
    return {
      code: INVALID_PARAMS,
      message: 'Invalid params',
      data: error.issues.map(issue => issue.message).join('; '),
    }
  }
  return { code: -32000, message: (error as Error).message }
}
