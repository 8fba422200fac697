import { ensureStreams } from '../../actors/ensure.js'
import { connectBroker, dropClaimBucket, ensureClaimBucket } from '../../nats/index.js'
import { claimsOf } from '../../src/window/claim.js'
import { startNats } from '../../test/helpers/nats-server.js'
import type { Benchmark, Circumstances } from '../benchmark.js'
import { type Bench, cleanly } from '../measure/bounded.js'
import { beside, startChild } from '../measure/child.js'
import { cpuSecondsOf } from '../measure/process.js'
import { median, percentile } from '../measure/statistics.js'
import { type RedisServer, startRedis } from '../redis/server.js'
import { type Figure, figure } from '../report/figure.js'
import { lineChart } from '../report/line-chart.js'
import { short } from '../report/table.js'
import type { ClaimerResult, ClaimerTask, Way } from './claimer.js'
import { startCluster, untilLed } from './cluster.js'

/** Claimers at once. */
const CLAIMERS = [1, 8, 32, 256]
/** Processes they are spread over. */
const PROCESSES = 4
/** One run, ms: some ten thousand claims at 8 claimers. Many short runs side by side tell more than few long ones. */
const RUN_MS = 1_000
const RUNS_PER_REPETITION = 2
/** The paced run, ms. */
const PACED_RUN_MS = 3_000
const REDIS_GOAL = 1.3
/** Pause between two claims of a paced claimer, ms: forty times as often as a GPU with a group in 10 s. */
const PACED_MS = 250
const WAIT_GOAL_MS = 1

let nextWindow = 30

/** What came of one run of one way. */
interface Measured {
  perSecond: number
  p50: number
  p99: number
  /** CPU for one claim, ms: of the claimers' processes, and of the server. */
  cpu: number
  serverCpu: number
}

/** R1 or R3. */
interface Cluster {
  name: string
  urls: string[]
  pids: number[]
  replicas: number
}

interface Servers {
  /** R1 and R3. */
  nats: Cluster[]
  redis: RedisServer
}

async function once(way: Way, claimers: number, to: Cluster, redis: RedisServer, paceMs = 0): Promise<Measured> {
  const forMs = paceMs > 0 ? PACED_RUN_MS : RUN_MS
  const window = nextWindow++
  const bucket = claimsOf(window, 1)
  const signal = new AbortController().signal
  const broker = way.startsWith('redis') ? undefined : await connectBroker({ servers: to.urls, name: 'bench', signal })
  try {
    if (broker) {
      await ensureStreams(broker, { replicas: to.replicas, presenceMs: 4_000, leaseMs: 4_000, signal })
      await ensureClaimBucket(broker, bucket, { replicas: to.replicas, signal })
    }
    const processes = Math.min(PROCESSES, claimers)
    const children = await Promise.all(
      Array.from({ length: processes }, (_, i) => {
        const from = Math.floor((claimers * i) / processes)
        const until = Math.floor((claimers * (i + 1)) / processes)
        const task: ClaimerTask = {
          ...{ way, servers: to.urls, port: redis.port, window, forMs, paceMs },
          ...{ from, claimers: until - from },
        }
        return startChild<ClaimerTask, ClaimerResult>(beside(import.meta.url, 'claimer'), task)
      }),
    )
    const pids = broker ? to.pids : [redis.pid]
    const serverCpu = () => pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0)
    const before = serverCpu()
    const results = await Promise.all(children.map(child => child.go()))
    const after = serverCpu()
    const waits = Float64Array.from(results.flatMap(result => Array.from(result.waits)))
    const indices = results.flatMap(result => Array.from(result.indices)).sort((a, b) => a - b)
    const wrong = indices.findIndex((index, i) => index !== i)
    if (wrong >= 0) throw new Error(`${way}: index ${wrong} was ${indices[wrong]}: handed out twice or never`)
    return {
      perSecond: (waits.length / forMs) * 1_000,
      p50: percentile(waits, 50),
      p99: percentile(waits, 99),
      cpu: (results.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) / waits.length) * 1_000,
      serverCpu: ((after - before) / waits.length) * 1_000,
    }
  } finally {
    if (broker) await dropClaimBucket(broker, bucket, { signal })
    await broker?.drain()
  }
}

async function servers(bench: Bench): Promise<Servers> {
  const server = await startNats(bench)
  const cluster = await startCluster(bench)
  const urls = cluster.map(({ url }) => url)
  await untilLed(urls)
  return {
    nats: [
      { name: 'R1', urls: [server.url], pids: [server.pid], replicas: 1 },
      { name: 'R3', urls, pids: cluster.map(({ pid }) => pid), replicas: urls.length },
    ],
    redis: await startRedis(bench),
  }
}

async function measure({ repetitions, draw, say }: Circumstances): Promise<Figure[]> {
  return cleanly(async bench => {
    const { nats, redis } = await servers(bench)
    const [single, triple] = nats as [Cluster, Cluster]
    const all = new Map<string, Measured[]>()
    const put = (key: string, measured: Measured) => all.set(key, [...(all.get(key) ?? []), measured])
    const of = (key: string) => all.get(key) ?? []
    /** Those that ran beside what runs once in a repetition. */
    const first = (key: string) => of(key).filter((_, run) => run % RUNS_PER_REPETITION === 0)
    for (const count of CLAIMERS) {
      for (let run = 0; run < repetitions * RUNS_PER_REPETITION; run++) {
        put(`R1.${count}`, await once('claim', count, single, redis))
        put(`redis-3.${count}`, await once('redis-3', count, single, redis))
        if (run % RUNS_PER_REPETITION > 0) continue
        put(`R3.${count}`, await once('claim', count, triple, redis))
        put(`take.${count}`, await once('take', count, single, redis))
        put(`redis-4.${count}`, await once('redis-4', count, single, redis))
      }
      const p50 = (key: string) => short(median(of(`${key}.${count}`).map(({ p50 }) => p50)))
      say(
        `${count} claimers: p50 of ${[...nats.map(({ name }) => name), 'take', 'Redis 3', 'Redis 4'].join(' / ')}: ${[...nats.map(({ name }) => name), 'take', 'redis-3', 'redis-4'].map(p50).join(' / ')} ms`,
      )
    }
    const most = Math.max(...CLAIMERS)
    for (let repetition = 0; repetition < repetitions; repetition++) {
      put('paced', await once('take', most, single, redis, PACED_MS))
      put('ahead', await once('ahead', most, single, redis, PACED_MS))
    }
    const waits = (['p50', 'p99'] as const).map(what => short(median(of('ahead').map(measured => measured[what]))))
    say(`${most} generators, claiming ahead: p50 and p99 of their wait ${waits.join(' / ')} ms`)

    draw('claims', 'Time for a claim', latencies(of))
    return [
      ...nats.flatMap(({ name }) =>
        CLAIMERS.flatMap(count => {
          const ours = of(`${name}.${count}`)
          const theirs = name === 'R1' ? of(`redis-3.${count}`) : first(`redis-3.${count}`)
          const line = (what: 'p50' | 'p99' | 'perSecond', title: string, unit: string) =>
            figure({
              id: `claims.${name}.${count}.${what}`,
              title: `claim ${title}, ${name}, ${count} claimer${count === 1 ? '' : 's'}`,
              unit,
              values: ours.map(measured => measured[what]),
              baseline: { name: 'Redis, 3 commands', values: theirs.map(measured => measured[what]) },
              ...(what === 'p50' && name === 'R1'
                ? { goal: { of: 'ratio' as const, is: 'at most' as const, limit: REDIS_GOAL } }
                : {}),
            })
          return [line('p50', 'p50', 'ms'), line('p99', 'p99', 'ms'), line('perSecond', 'throughput', '/s')]
        }),
      ),
      ...CLAIMERS.map(count =>
        figure({
          id: `claims.take.${count}`,
          title: `next index p50, reissue queue first, ${count} claimer${count === 1 ? '' : 's'}`,
          unit: 'ms',
          values: of(`take.${count}`).map(({ p50 }) => p50),
          baseline: { name: 'Redis, 3 commands', values: first(`redis-3.${count}`).map(({ p50 }) => p50) },
        }),
      ),
      ...CLAIMERS.map(count =>
        figure({
          id: `claims.four.${count}`,
          title: `claim p50, R1, ${count} claimer${count === 1 ? '' : 's'}, against four commands`,
          unit: 'ms',
          values: first(`R1.${count}`).map(({ p50 }) => p50),
          baseline: { name: 'Redis, 4 commands', values: of(`redis-4.${count}`).map(({ p50 }) => p50) },
        }),
      ),
      ...(['cpu', 'serverCpu'] as const).map(what =>
        figure({
          id: `claims.${what}`,
          title: `${what === 'cpu' ? 'client' : 'server'} CPU per claim, R1, ${CLAIMERS.at(-1)} claimers`,
          unit: 'ms',
          values: of(`R1.${CLAIMERS.at(-1)}`).map(measured => measured[what]),
          baseline: {
            name: 'Redis, 3 commands',
            values: of(`redis-3.${CLAIMERS.at(-1)}`).map(measured => measured[what]),
          },
        }),
      ),
      ...(['p50', 'p99'] as const).flatMap(what => [
        figure({
          id: `claims.wait.${what}`,
          title: `a generator's wait for its next claim, ${what}, ${most} generators`,
          unit: 'ms',
          values: of('ahead').map(measured => measured[what]),
          ...(what === 'p99' ? { goal: { of: 'value', is: 'below', limit: WAIT_GOAL_MS } } : {}),
        }),
        figure({
          id: `claims.paced.${what}`,
          title: `  were it not claimed ahead, ${what}`,
          unit: 'ms',
          values: of('paced').map(measured => measured[what]),
        }),
      ]),
    ]
  })
}

/** Curves of p50 and p99 over the number of claimers. */
function latencies(of: (key: string) => Measured[]): string {
  const curve = (way: string, what: 'p50' | 'p99') =>
    CLAIMERS.map((count): [number, number] => [count, median(of(`${way}.${count}`).map(measured => measured[what]))])
  const names = { R1: 'this fleet', R3: 'this fleet, R3', 'redis-3': 'Redis, 3 commands' }
  return lineChart({
    title: 'Time for a claim',
    x: { label: 'claimers, each claiming as fast as it can', log: true, ticks: CLAIMERS },
    y: { label: 'ms', log: true },
    series: Object.entries(names).flatMap(([way, name]) => [
      { name: `${name}, p50`, points: curve(way, 'p50') },
      { name: `${name}, p99`, points: curve(way, 'p99'), dashed: true },
    ]),
  })
}

export const claims: Benchmark = {
  name: 'claims',
  about: 'taking the next index, against the Redis queue',
  run: measure,
}
