import { type IncomingMessage, request } from 'node:http'
import { Packr } from 'msgpackr'
import { z } from 'zod'
import { timeOut } from '../../time-out.js'
import { EngineError } from '../engine.js'
import type { Worker } from './child.js'

/** Plain msgpack, as every other reader writes it: no records, no extensions. */
const codec = new Packr({ useRecords: false, int64AsType: 'number' })

const Refusal = z.object({
  error: z.string(),
  next: z.enum(['never', 'later', 'deadline']),
  retry_after_ms: z.number().optional(),
})

/** A worker that does not answer in time: it hangs, and has to be ended. */
export class WorkerSilent extends Error {}

/** Wait before a worker that went away is asked again, ms: it takes seconds to start. */
const GONE_RETRY_MS = 5_000

async function read(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/**
 * Asks the worker. One connection per question, so that hanging up tells the worker that nobody waits any more.
 * @param timeoutMs how long the worker may be silent
 * @throws EngineError what the worker refused, or 'later' when it went away; WorkerSilent; the signal's reason
 */
export async function call<T>(
  worker: Worker,
  method: 'GET' | 'POST',
  path: string,
  body: unknown,
  reply: z.ZodType<T>,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<T> {
  signal.throwIfAborted()
  // Deadlines may have fractions of a millisecond, timers must not.
  const timeout = timeOut(Math.ceil(timeoutMs))
  const packed = body === undefined ? undefined : codec.pack(body)
  const { status, answer } = await new Promise<{ status: number; answer: unknown }>((resolve, reject) => {
    const asked = request(
      {
        host: '127.0.0.1',
        port: worker.port,
        method,
        path,
        agent: false,
        signal: AbortSignal.any([signal, timeout]),
        headers: {
          authorization: `Bearer ${worker.token}`,
          ...(packed && { 'content-type': 'application/msgpack', 'content-length': packed.length }),
        },
      },
      response => {
        read(response)
          .then(bytes => ({ status: response.statusCode ?? 0, answer: codec.unpack(bytes) as unknown }))
          .then(resolve, reject)
      },
    )
    asked.once('error', reject)
    asked.end(packed)
  }).catch((cause: unknown) => {
    signal.throwIfAborted()
    if (timeout.aborted) throw new WorkerSilent(`the worker did not answer ${path} within ${timeoutMs / 1_000} s`)
    throw new EngineError(`the worker went away during ${path}`, 'later', { retryAfterMs: GONE_RETRY_MS, cause })
  })
  const parsed = (status === 200 ? reply : Refusal).safeParse(answer)
  if (!parsed.success)
    throw new EngineError(
      `the worker's answer to ${path} (${status}) is malformed: ${z.prettifyError(parsed.error)}`,
      'never',
    )
  if (status === 200) return parsed.data as T
  const refusal = parsed.data as z.infer<typeof Refusal>
  throw new EngineError(refusal.error, refusal.next, { retryAfterMs: refusal.retry_after_ms ?? 0 })
}
