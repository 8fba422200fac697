import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../test/helpers/free-port.js'
import { type Bench, until } from '../measure/bounded.js'
import { connectRedis } from './resp.js'

export interface RedisServer {
  port: number
  pid: number
}

/**
 * A Redis of one's own on loopback, as a queue that must not be lost needs it: append-only file, synchronised every second.
 * Ends with the benchmark.
 */
export async function startRedis(bench: Bench): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'grail-redis-'))
  bench.teardown(() => rm(folder, { recursive: true, force: true }))
  const port = await freePort()
  const options = { port, bind: '127.0.0.1', dir: folder, appendonly: 'yes', appendfsync: 'everysec', save: '' }
  const child = spawn(
    'redis-server',
    Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
    { stdio: 'ignore' },
  )
  child.once('error', () => {})
  bench.teardown(async () => {
    if (child.exitCode !== null || child.pid === undefined) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  })
  await until('redis-server answers', async () => {
    if (child.pid === undefined || child.exitCode !== null)
      throw new Error('redis-server is not installed or does not start: apt install redis-server')
    try {
      const redis = await connectRedis(port)
      const answer = await redis.command('PING')
      redis.close()
      return answer === 'PONG'
    } catch {
      return false
    }
  })
  return { port, pid: child.pid as number }
}
