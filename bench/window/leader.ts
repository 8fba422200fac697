import { setTimeout as sleep } from 'node:timers/promises'
import { claim, connectBroker, dropClaimBucket, ensureClaimBucket } from '../../nats/index.js'
import { claimsOf, encodeClaim } from '../../src/window/claim.js'
import type { NatsServer } from '../../test/helpers/nats-server.js'
import { until } from '../measure/bounded.js'

const CLAIMERS = 8
/** Claims flow for so long before the leader is killed, ms. */
const BEFORE_MS = 1_000
/** Answers that were on their way when the leader died are read within this, ms. */
const FLUSHED_MS = 100
/** A claimer that got nothing for so long will get nothing, ms. */
const PATIENCE_MS = 30_000

/**
 * kill -9 of the server that leads the claims' stream, while claimers claim as fast as they can. It is started again after.
 * @returns seconds during which no claim was answered
 * @throws Error when an index was given out twice
 */
export async function killLeader(cluster: readonly NatsServer[], window: number): Promise<number> {
  const { signal } = new AbortController()
  const servers = cluster.map(({ url }) => url)
  const bucket = claimsOf(window, 1)
  const brokers = await Promise.all(
    Array.from({ length: CLAIMERS }, (_, i) => connectBroker({ servers, name: `claimer-${i}`, signal })),
  )
  const broker = await connectBroker({ servers, name: 'bench', signal })
  try {
    await ensureClaimBucket(broker, bucket, { replicas: cluster.length, signal })
    // A server that was killed before and has not caught up could not elect anybody: then two of three were missing, not one.
    await until('every server has the bucket', async () => {
      const info = await broker.jsm.streams.info(`KV_${bucket}`).catch(() => undefined)
      const others = info?.cluster?.replicas ?? []
      return others.length === cluster.length - 1 && others.every(({ current, offline }) => current && !offline)
    })
    const answered: number[] = []
    const indices: number[] = []
    let over = false
    const claimers = Promise.all(
      brokers.map(async (mine, i) => {
        for (let n = 0; !over; n++) {
          const key = `generator-${i}.boot.${window}.1.0.${n}`
          const value = encodeClaim({
            generator: `generator-${i}`,
            boot: 'boot',
            checkpointWindow: 0,
            atMs: Date.now(),
          })
          const { index } = await claim(mine, bucket, key, value, { id: key, signal, giveUpAfterMs: PATIENCE_MS })
          answered.push(performance.now())
          indices.push(index)
        }
      }),
    )
    let failed: Error | undefined
    claimers.catch((error: Error) => {
      failed = error
    })
    await sleep(BEFORE_MS)
    const { cluster: of } = await broker.jsm.streams.info(`KV_${bucket}`)
    // Servers are called n0, n1, … in the order they were started.
    const leader = cluster[Number(of?.leader?.slice(1))] as NatsServer
    const killedMs = performance.now()
    await leader.kill()
    while ((answered.at(-1) as number) < killedMs + FLUSHED_MS) {
      if (failed) throw failed
      if (performance.now() - killedMs > PATIENCE_MS) throw new Error('claims do not flow again')
      await sleep(20)
    }
    await sleep(BEFORE_MS)
    over = true
    await claimers
    await leader.restart()
    const twice = indices.length - new Set(indices).size
    if (twice > 0) throw new Error(`${twice} indices were given out twice`)
    const gaps = answered.slice(1).map((ms, i) => ms - (answered[i] as number))
    return Math.max(...gaps) / 1_000
  } finally {
    await dropClaimBucket(broker, bucket, { signal }).catch(() => {})
    await Promise.all([broker, ...brokers].map(one => one.drain()))
  }
}
