import type { JournalEvent } from '../../actors/journal.js'
import { WINDOW_BLOCKS } from '../../src/window/block.js'
import { FIRST_TAIL_MS } from '../../src/window/deadline.js'
import { FIRST_HOST } from '../../test/helpers/actor-process.js'
import { startS3 } from '../../test/helpers/s3-server.js'
import { worldOnS3 } from '../../test/helpers/s3-world.js'
import { startWorld, type World, type WorldOptions } from '../../test/helpers/world.js'
import { type Bench, until } from '../measure/bounded.js'
import { startLink } from '../tail/link.js'

/** Groups that a GPU makes in a window: 360 s at 10 s each. */
export const GROUPS_PER_WINDOW = 36
/** Short completions: the fleet is measured, not the rehearsal's arithmetic, which takes CPU where a GPU would take none. */
const MAX_TOKENS = 256
const RTT_MS = 20
const LINK_BYTES_PER_S = 100e6

/** How long a group takes in a window of so many seconds, ms. */
export const paceMsOf = (windowSeconds: number) => Math.round((windowSeconds / GROUPS_PER_WINDOW) * 1_000)

/** A whole fleet with real processes, as a host runs it: real broker, development chain, S3 server behind a line of 20 ms. */
export async function startFleet(
  bench: Bench,
  options: { generators: number; windowSeconds: number; actors?: string[] } & Pick<
    WorldOptions,
    'engine' | 'makeCheckpoint' | 'stallMs' | 'policy'
  >,
): Promise<World> {
  const s3 = await startS3()
  bench.teardown(() => s3.stop())
  const link = await startLink(Number(new URL(s3.endpoint).port), RTT_MS, LINK_BYTES_PER_S)
  bench.teardown(() => link.close())
  return startWorld(bench, {
    ...options,
    blockMs: (options.windowSeconds / WINDOW_BLOCKS) * 1_000,
    exactBlocks: true,
    paceMs: paceMsOf(options.windowSeconds),
    maxTokens: MAX_TOKENS,
    firstTailMs: FIRST_TAIL_MS,
    ...worldOnS3(s3, { endpoint: `http://127.0.0.1:${link.port}` }),
  })
}

/** What the n-th generator of a fleet is called. */
export const generatorName = (number: number) => `generator-${FIRST_HOST}-${number}`

export type Of<K extends JournalEvent['kind']> = Extract<JournalEvent, { kind: K }>

/** The first event of a kind that matches, past or to come; patient enough for real windows. */
export function eventOf<K extends JournalEvent['kind']>(
  world: World,
  kind: K,
  matches: (event: Of<K>) => boolean,
  withinMs: number,
): Promise<Of<K>> {
  const look = () => world.events.find((event): event is Of<K> => event.kind === kind && matches(event as Of<K>))
  return until(`event ${kind}`, look, { withinMs })
}

/** Lines of an actor's log that say `what`, with the time and the other fields they have. */
export function logged(world: World, actor: string, what: string): { atMs: number; fields: Record<string, unknown> }[] {
  return world.actor(actor).lines.flatMap(line => {
    if (!line.includes(`"msg":"${what}"`)) return []
    const fields = JSON.parse(line) as Record<string, unknown>
    return [{ atMs: Date.parse(String(fields.time)), fields }]
  })
}
