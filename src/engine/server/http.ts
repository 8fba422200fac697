import { Agent, type IncomingMessage, request } from 'node:http'
import { timeOut } from '../../time-out.js'

/** A server that speaks HTTP on this host, or on one reached as if it were this one. */
export interface ServerAddress {
  /** e.g. http://127.0.0.1:30000, without a path. */
  url: string
  /** Kept connections: one agent for the server's life, not one per request. */
  agent: Agent
  /** Sent as a bearer token where the server wants one. Secret. */
  apiKey?: string
}

export interface ServerAnswer {
  status: number
  text: string
}

/** The server did not answer in time: it hangs, or has more work than it can do. */
export class ServerSilent extends Error {}
/** There is no server at the address, or it went away while answering. */
export class ServerGone extends Error {}

/** A completion of 8,192 tokens with log-probabilities is about 1 MB; far beyond it is no answer of ours. */
const LARGEST_ANSWER_BYTES = 64 * 1024 * 1024

export function serverAddress(url: string, apiKey?: string): ServerAddress {
  const agent = new Agent({ keepAlive: true })
  return { url: url.replace(/\/+$/, ''), agent, ...(apiKey === undefined ? {} : { apiKey }) }
}

async function read(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response) {
    bytes += (chunk as Buffer).length
    if (bytes > LARGEST_ANSWER_BYTES) throw new Error(`the answer exceeds ${LARGEST_ANSWER_BYTES} bytes`)
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** A kept connection was closed by the server before it answered anything: it had been idle for too long. */
class StaleConnection extends Error {}

/** What a connection says that the other side has closed. */
const CLOSED = new Set(['ECONNRESET', 'EPIPE'])

function ask(
  { url, agent, apiKey }: ServerAddress,
  method: 'GET' | 'POST',
  path: string,
  text: string | undefined,
  { signal, kept }: { signal: AbortSignal; kept: boolean },
): Promise<ServerAnswer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      `${url}${path}`,
      {
        method,
        agent: kept ? agent : false,
        signal,
        headers: {
          ...(text !== undefined && {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(text),
          }),
          ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
        },
      },
      response => {
        read(response)
          .then(answer => ({ status: response.statusCode ?? 0, text: answer }))
          .then(resolve, reject)
      },
    )
    asked.once('error', (error: NodeJS.ErrnoException) => {
      const stale = asked.reusedSocket && CLOSED.has(error.code ?? '')
      reject(stale ? new StaleConnection(error.message, { cause: error }) : error)
    })
    asked.end(text)
  })
}

/**
 * One question, one answer, whatever its status. Aborting hangs up, which tells the server that nobody waits any more.
 *
 * Both servers close a connection that was idle for 5 s, and may do so while the next question is on its way: then it is
 * asked once more, on a connection of its own.
 * @param timeoutMs how long the whole answer may take, ms
 * @throws ServerSilent, ServerGone; the signal's reason
 */
export async function askServer(
  address: ServerAddress,
  method: 'GET' | 'POST',
  path: string,
  body: unknown,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<ServerAnswer> {
  signal.throwIfAborted()
  const timeout = timeOut(Math.ceil(timeoutMs))
  const either = AbortSignal.any([signal, timeout])
  const text = body === undefined ? undefined : JSON.stringify(body)
  try {
    return await ask(address, method, path, text, { signal: either, kept: true }).catch((error: unknown) => {
      if (!(error instanceof StaleConnection)) throw error
      return ask(address, method, path, text, { signal: either, kept: false })
    })
  } catch (cause) {
    signal.throwIfAborted()
    if (timeout.aborted) throw new ServerSilent(`no answer to ${path} within ${timeoutMs / 1_000} s`, { cause })
    throw new ServerGone(`the server went away during ${path}: ${(cause as Error).message}`, { cause })
  }
}
