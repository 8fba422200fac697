import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodePresence } from '../../actors/presence.js'
import { FLEET } from '../../actors/streams.js'
import { watchPresence } from '../../nats/index.js'
import { type ServerAddress, serverAddress } from '../../src/engine/server/http.js'
import { packageRoot } from '../../src/package-root.js'
import { workerPython } from '../../test/helpers/worker-python.js'
import type { World } from '../../test/helpers/world.js'
import type { Bench } from '../measure/bounded.js'
import { startFleet } from '../window/fleet.js'
import type { BatcherRecord } from './batcher.js'
import { storyCheckpoint } from './checkpoint.js'

/** What stands in for the GPU, and the work it is given. */
export interface Pace {
  /** A decode step takes so long, ms, for up to so many sequences. */
  stepMs: number
  places: number
  /** Mean tokens of a completion beside its opening of 33, and the most. */
  body: number
  maxTokens: number
}

/** Groups in flight that the generator's engine allowed itself from a moment on, unix ms, as its presence said. */
export type Limits = readonly { atMs: number; groups: number }[]

export interface PacedFleet {
  world: World
  server: ServerAddress
  record(): Promise<BatcherRecord>
  limits: Limits
}

/** One thread: the fleet and the paced server share the other core. */
const PROVER_THREADS = 1
/** The chain is held between the window and what it is compared with: that is no stall. */
const STALL_MS = 600_000

/** A whole fleet with one generator, whose engine starts a paced server and a real proof worker. */
export async function startPacedFleet(
  bench: Bench,
  { folder, pace, windowSeconds }: { folder: string; pace: Pace; windowSeconds: number },
): Promise<PacedFleet> {
  const program = join(folder, 'paced-server')
  const port = join(folder, 'port')
  const server = join(packageRoot, import.meta.url.endsWith('.ts') ? 'bench' : 'dist/bench', 'pipelining')
  const node = import.meta.url.endsWith('.ts') ? `--import tsx "${server}/server.ts"` : `"${server}/server.js"`
  const paced = `--step-ms ${pace.stepMs} --places ${pace.places} --announce "${port}"`
  const script = `#!/bin/sh\ncd "${packageRoot}"\nexec "${process.execPath}" ${node} ${paced} "$@"\n`
  await writeFile(program, script, { mode: 0o700 })
  const world = await startFleet(bench, {
    generators: 1,
    windowSeconds,
    stallMs: STALL_MS,
    makeCheckpoint: target => storyCheckpoint(target, pace),
    engine: `name = "sglang"\nprogram = "${program}"\npython = "${workerPython}"\ndevice = "cpu"\nthreads = ${PROVER_THREADS}`,
  })
  const limits: { atMs: number; groups: number }[] = []
  const end = new AbortController()
  const { caughtUp, done } = watchPresence(world.broker, FLEET, {
    signal: end.signal,
    onChange: change => {
      if (change.type === 'gone') return
      const groups = decodePresence(change.bytes).server?.limit
      if (groups !== undefined && groups !== limits.at(-1)?.groups) limits.push({ atMs: change.timeMs, groups })
    },
  })
  done.catch(() => {})
  bench.teardown(async () => end.abort())
  await caughtUp
  const address = serverAddress(readFileSync(port, 'utf8'))
  bench.teardown(async () => address.agent.destroy())
  return {
    world,
    server: address,
    limits,
    record: async () => (await (await fetch(`${address.url}/bench/record`)).json()) as BatcherRecord,
  }
}

/** The limit of a moment; the first one before it was ever said. */
export function limitAt(limits: Limits, atMs: number): number {
  return (limits.findLast(one => one.atMs <= atMs) ?? limits[0])?.groups ?? 1
}
