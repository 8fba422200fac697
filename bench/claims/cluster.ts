import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectBroker, dropClaimBucket, ensureClaimBucket, renderServerConfig } from '../../nats/index.js'
import { freePort } from '../../test/helpers/free-port.js'
import { type NatsServer, startNats } from '../../test/helpers/nats-server.js'
import { type Bench, until } from '../measure/bounded.js'

const SERVERS = 3
const PROBE = 'bench_ready'
/** One look whether the cluster works, ms. */
const LOOK_MS = 2_000

/** Three servers of one cluster on loopback, configured as the fleet's own. Ends with the benchmark. */
export async function startCluster(bench: Bench): Promise<NatsServer[]> {
  const folder = await mkdtemp(join(tmpdir(), 'grail-cluster-'))
  bench.teardown(() => rm(folder, { recursive: true, force: true }))
  const ports = await Promise.all(
    Array.from({ length: SERVERS }, async () => ({ port: await freePort(), cluster: await freePort() })),
  )
  // All three at once: the first one answers only when it has others to agree with.
  return Promise.all(
    ports.map(({ port, cluster }, i) => {
      const storeDir = join(folder, `n${i}`)
      const config = renderServerConfig({
        name: `n${i}`,
        host: '127.0.0.1',
        port,
        storeDir,
        replicas: SERVERS,
        cluster: {
          name: 'bench',
          port: cluster,
          routes: ports.filter((_, j) => j !== i).map(other => `127.0.0.1:${other.cluster}`),
        },
      })
      return startNats(bench, { port, storeDir, config })
    }),
  )
}

/** Resolves once a replicated bucket can be made: after that the cluster has elected whom it needs. */
export async function untilLed(servers: string[]): Promise<void> {
  await until('the cluster has a leader', async () => {
    const signal = AbortSignal.timeout(LOOK_MS)
    try {
      const broker = await connectBroker({ servers, name: 'bench', signal })
      try {
        await ensureClaimBucket(broker, PROBE, { replicas: servers.length, signal, giveUpAfterMs: LOOK_MS / 2 })
        await dropClaimBucket(broker, PROBE, { signal })
      } finally {
        await broker.drain()
      }
      return true
    } catch {
      return false
    }
  })
}
