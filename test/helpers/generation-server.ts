import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { parseArgs } from 'node:util'
import type { ServerControl } from './generation-server-control.js'
import { goesWrong, Refused } from './generation-server-model.js'
import type { Reply, Routes, StandInParts } from './generation-server-routes.js'
import { sglangRoutes } from './generation-server-sglang.js'
import { vllmRoutes } from './generation-server-vllm.js'

// Stands in for SGLang or vLLM, by the arguments it is started with: the same arguments, endpoints, fields, streams and
// errors, for what the engines use; test/contract/generation-server.ts asks it and the real ones the same questions. It
// samples from the checkpoint it is given. What goes wrong is said by the control file in STAND_IN, read anew for every
// request. A process of its own, with one more in its group as the real ones have. Says what happens line by line.

const { values, positionals } = parseArgs({
  // As in `vllm serve MODEL`.
  allowPositionals: true,
  options: {
    'model-path': { type: 'string' },
    'tp-size': { type: 'string' },
    'mem-fraction-static': { type: 'string' },
    'context-length': { type: 'string' },
    'max-running-requests': { type: 'string' },
    'sampling-defaults': { type: 'string' },
    'weight-version': { type: 'string' },
    model: { type: 'string' },
    'served-model-name': { type: 'string' },
    'tensor-parallel-size': { type: 'string' },
    'gpu-memory-utilization': { type: 'string' },
    'max-model-len': { type: 'string' },
    'max-num-seqs': { type: 'string' },
    'generation-config': { type: 'string' },
    'enable-sleep-mode': { type: 'boolean' },
    host: { type: 'string' },
    port: { type: 'string' },
    dtype: { type: 'string' },
  },
})

const control = (): ServerControl => JSON.parse(readFileSync(process.env.STAND_IN!, 'utf8')) as ServerControl
const say = (line: string): void => console.log(line)
const sglang = values['model-path'] !== undefined
const folder = (values['model-path'] ?? values.model ?? (positionals[0] === 'serve' ? positionals[1] : undefined))!
const open = new Map<string, () => void>()

/** How often a held request looks whether it still is, ms. */
const HELD_MS = 20

const parts: StandInParts = {
  folder,
  version: values['weight-version'] ?? 'default',
  servedName: values['served-model-name'] ?? folder,
  contextLength: Number(values['context-length'] ?? values['max-model-len']),
  development: process.env.VLLM_SERVER_DEV_MODE === '1',
  control,
  say,
  abort(prefix) {
    for (const [id, end] of open) if (id.startsWith(prefix)) end()
  },
  async held(id, holds, reply) {
    if (!holds) return 'answer'
    say(`holds ${id}`)
    return new Promise(resolve => {
      const timer = setInterval(() => control().trouble !== 'hold' && end('answer'), HELD_MS)
      const end = (how: 'answer' | 'aborted' | 'hung up'): void => {
        clearInterval(timer)
        open.delete(id)
        resolve(how)
      }
      open.set(id, () => end('aborted'))
      reply.onHangUp(() => end('hung up'))
    })
  },
}
const routes: Routes = sglang ? sglangRoutes(parts) : vllmRoutes(parts)

function replyTo(response: ServerResponse): Reply {
  const send = (status: number, type: string | undefined, text: string): void => {
    response.writeHead(status, type === undefined ? {} : { 'content-type': type })
    response.end(text)
  }
  return {
    json: (status, body) => send(status, 'application/json', JSON.stringify(body)),
    text: (status, body) => send(status, undefined, body),
    stream: () => response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' }),
    event: data => response.write(`data: ${JSON.stringify(data)}\n\n`),
    done: () => response.end('data: [DONE]\n\n'),
    onHangUp: then => response.once('close', then),
  }
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  if (chunks.length === 0) return {}
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>
  } catch {
    throw routes.invalidJson(1)
  }
}

/** Tokens of a request that does not say how many, as far as the control file is concerned. */
const SOME_TOKENS = 3

async function answer(request: IncomingMessage, reply: Reply): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://x')
  const name = `${request.method} ${pathname}` as `GET /${string}`
  const route = Object.hasOwn(routes, name) ? routes[name] : undefined
  const otherMethod = ['GET', 'POST'].some(method => Object.hasOwn(routes, `${method} ${pathname}`))
  if (!route) return reply.json(otherMethod ? 405 : 404, { detail: otherMethod ? 'Method Not Allowed' : 'Not Found' })
  const given = await bodyOf(request)
  if (name === routes.generates) {
    const size = routes.size(given) ?? SOME_TOKENS
    say(`asked ${size}`)
    if (goesWrong(size, control()) === 'garbage') return reply.text(200, '<html>busy</html>')
  }
  await route(given, reply, searchParams)
}

const server = createServer((request, response) => {
  const reply = replyTo(response)
  answer(request, reply).catch((error: unknown) => {
    if (error instanceof Refused) return reply.json(error.status, error.body)
    say(String((error as Error).stack))
    reply.text(500, 'Internal Server Error')
  })
})
server.once('error', error => {
  say(`[Errno 98] error while attempting to bind on address ('127.0.0.1', ${values.port}): ${error.message}`)
  process.exit(1)
})

function listen(): void {
  if (control().start === 'crashes') {
    say('torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.')
    process.exit(1)
  }
  if (control().start === 'waits') return void setTimeout(listen, HELD_MS)
  server.listen(Number(values.port), values.host, () => say(`listens ${process.pid} ${values.port} ${values.dtype}`))
}

if (control().stubborn) process.on('SIGTERM', () => say('ignores SIGTERM'))
// As the real ones' schedulers: in the group, and not ended with its parent.
const scheduler = spawn('sleep', ['100000'], { stdio: 'ignore' })
say(`scheduler ${scheduler.pid}`)
listen()
