import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { packageRoot } from '../../src/package-root.js'

/** A running S3 server with one empty bucket. */
export interface S3Server {
  endpoint: string
  bucket: string
  accessKeyId: string
  secretAccessKey: string
  pid: number
  /** What it has said on standard error so far. */
  log(): string
  /** Ends it and waits until it is gone. */
  stop(): Promise<void>
  /** kill -9, and waits until it is gone. */
  kill(): Promise<void>
}

/**
 * Starts the project's own local S3 server on a free port, installing it first where it is not. It ends with this process,
 * however that ends: it reads our end of a pipe.
 */
export async function startS3(options: { port?: number; bucket?: string; pair?: KeyPair } = {}): Promise<S3Server> {
  const setup = spawnSync('bash', [join(packageRoot, 'supervisor/setup/s3-server.sh')], { encoding: 'utf8' })
  if (setup.status !== 0) throw new Error(`the local S3 server could not be installed: ${setup.stderr}`)
  const pair = options.pair ?? {
    accessKeyId: `AKIA${randomBytes(8).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(20).toString('hex'),
  }
  const { child, log } = launch(
    ['--port', String(options.port ?? 0), '--bucket', options.bucket ?? 'grail', '--until-stdin-closes'],
    { GRAIL_S3_ACCESS_KEY_ID: pair.accessKeyId, GRAIL_S3_SECRET_ACCESS_KEY: pair.secretAccessKey },
  )
  const line = await firstLine(child)
  const [, endpoint, bucket] = /^ready (\S+) bucket (\S+) /.exec(line ?? '') ?? []
  if (!endpoint || !bucket) throw new Error(`the local S3 server did not start: ${line ?? ''}${log()}`)
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }
  return {
    endpoint,
    bucket,
    ...pair,
    pid: child.pid as number,
    log,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  }
}

export interface KeyPair {
  accessKeyId: string
  secretAccessKey: string
}

/** Runs supervisor/local-s3.py with nothing of our own environment in it. */
export function launch(args: string[], env: Record<string, string> = {}): { child: ChildProcess; log(): string } {
  const child = spawn(
    join(packageRoot, '.venv-s3/bin/python'),
    [join(packageRoot, 'supervisor/local-s3.py'), ...args],
    { env, stdio: ['pipe', 'pipe', 'pipe'] },
  )
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (more: string) => {
    text += more
  })
  return { child, log: () => text }
}

/** First line of a child's standard output; undefined when it ends without one. */
async function firstLine(child: ChildProcess): Promise<string | undefined> {
  if (!child.stdout) return undefined
  for await (const line of createInterface({ input: child.stdout })) return line
  return undefined
}
