import { WebSocket } from 'ws'
import { ChainError } from './chain-error.js'

/** One WebSocket to one endpoint, speaking JSON-RPC 2.0; thrown away when anything about it is doubtful. */
export interface RpcConnection {
  readonly endpoint: string
  /** Throws ChainError: 'rpc' (the node's answer is an error), 'timeout', 'connection'. */
  request(method: string, params: readonly unknown[], signal?: AbortSignal): Promise<unknown>
  /** `onValue` gets every notification until the returned id is unsubscribed or the connection ends. */
  subscribe(method: string, params: readonly unknown[], onValue: (value: unknown) => void): Promise<string>
  unsubscribe(method: string, id: string): Promise<boolean>
  /** Resolves with the reason when the connection is gone; never rejects. */
  readonly gone: Promise<string>
  readonly alive: boolean
  close(why: string): void
}

export interface RpcConnectionOptions {
  endpoint: string
  /** Limit for opening, ms; TLS included. */
  connectMs: number
  /** Limit for one request, ms. */
  requestMs: number
  /** A ping is sent this often, ms; two in a row without an answer end the connection: nothing else tells a half-open link. */
  pingMs: number
  signal: AbortSignal
}

/** The largest answer, a full metagraph, has some MB. */
const MAX_MESSAGE_BYTES = 64 * 1_048_576

/** One missed ping may be this process's own fault: a busy moment delays the answer and the timer alike. */
const MISSED_PINGS = 2

interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** Opens a connection; throws ChainError 'connection' when that fails or takes too long. */
export async function connectRpc(options: RpcConnectionOptions): Promise<RpcConnection> {
  const { endpoint, requestMs } = options
  const socket = await open(options)
  const waiting = new Map<number, Waiting>()
  const listeners = new Map<string, (value: unknown) => void>()
  /** Notifications that came before the answer that names their subscription. */
  const early = new Map<string, unknown[]>()
  let requests = 0
  let over: string | undefined
  let tellGone: (why: string) => void
  const gone = new Promise<string>(resolve => {
    tellGone = resolve
  })

  function end(why: string): void {
    if (over !== undefined) return
    over = why
    clearInterval(pinging)
    // Never wait for the other side's closing: it may be gone without a word.
    socket.terminate()
    for (const { reject } of waiting.values()) {
      reject(new ChainError('connection', `${endpoint}: ${why}`, 'later'))
    }
    waiting.clear()
    listeners.clear()
    early.clear()
    tellGone(why)
  }

  let unanswered = 0
  const pinging = setInterval(() => {
    if (unanswered === MISSED_PINGS) return end(`no answer for ${MISSED_PINGS * options.pingMs} ms`)
    unanswered++
    socket.ping()
  }, options.pingMs)
  socket.on('pong', () => {
    unanswered = 0
  })
  socket.on('close', code => end(`closed by the node (code ${code})`))
  socket.on('error', error => end(error.message))
  socket.on('message', data => {
    unanswered = 0
    const message = parse(String(data))
    if (!message) return end('the endpoint does not speak JSON-RPC')
    if (message.id !== undefined) {
      const request = waiting.get(message.id)
      waiting.delete(message.id)
      if (message.error) request?.reject(rpcError(message.error))
      else request?.resolve(message.result)
      return
    }
    const { subscription, result } = message.params ?? {}
    if (subscription === undefined) return
    const listener = listeners.get(String(subscription))
    if (listener) listener(result)
    else early.set(String(subscription), [...(early.get(String(subscription)) ?? []), result])
  })

  async function request(method: string, params: readonly unknown[], signal?: AbortSignal): Promise<unknown> {
    signal?.throwIfAborted()
    if (over !== undefined) throw new ChainError('connection', `${endpoint}: ${over}`, 'later')
    const id = ++requests
    let timer: NodeJS.Timeout | undefined
    let abort: (() => void) | undefined
    try {
      return await new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject })
        timer = setTimeout(() => {
          reject(new ChainError('timeout', `${endpoint} did not answer ${method} within ${requestMs} ms`, 'later'))
        }, requestMs)
        abort = () => reject(signal?.reason as Error)
        signal?.addEventListener('abort', abort, { once: true })
        socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
      })
    } finally {
      waiting.delete(id)
      clearTimeout(timer)
      if (abort) signal?.removeEventListener('abort', abort)
    }
  }

  return {
    endpoint,
    gone,
    get alive() {
      return over === undefined
    },
    request,
    subscribe: async (method, params, onValue) => {
      const id = String(await request(method, params))
      listeners.set(id, onValue)
      const already = early.get(id) ?? []
      early.delete(id)
      for (const value of already) onValue(value)
      return id
    },
    unsubscribe: async (method, id) => {
      listeners.delete(id)
      return over === undefined && (await request(method, [id])) === true
    },
    close: end,
  }
}

async function open({ endpoint, connectMs, signal }: RpcConnectionOptions): Promise<WebSocket> {
  signal.throwIfAborted()
  const socket = new WebSocket(endpoint, { handshakeTimeout: connectMs, maxPayload: MAX_MESSAGE_BYTES })
  let abort: (() => void) | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      abort = () => reject(signal.reason as Error)
      signal.addEventListener('abort', abort, { once: true })
      socket.once('open', resolve)
      socket.once('error', reject)
    })
    return socket
  } catch (cause) {
    // a socket that is ended while it opens says so by an error
    socket.on('error', () => {})
    socket.terminate()
    if (signal.aborted) throw cause
    throw new ChainError('connection', `${endpoint} cannot be reached: ${(cause as Error).message}`, 'later', { cause })
  } finally {
    if (abort) signal.removeEventListener('abort', abort)
  }
}

interface Message {
  id?: number
  result?: unknown
  error?: { code: number; message: string; data?: unknown }
  params?: { subscription?: unknown; result?: unknown }
}

function parse(text: string): Message | undefined {
  try {
    const message: unknown = JSON.parse(text)
    return typeof message === 'object' && message !== null ? (message as Message) : undefined
  } catch {
    return undefined
  }
}

/** A node's refusal with its own words; `cause.code` is the JSON-RPC code. */
function rpcError({ code, message, data }: NonNullable<Message['error']>): ChainError {
  const text = data === undefined ? message : `${message}: ${typeof data === 'string' ? data : JSON.stringify(data)}`
  return new ChainError('rpc', `${code}: ${text}`, 'never', { cause: { code } })
}
