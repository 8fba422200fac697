import t from 'tap'
import type { ChainEvent } from '../../src/chain/chain.js'
import { eventStream } from '../../src/chain/event-stream.js'

const best = (number: number): ChainEvent => ({
  kind: 'best',
  head: { number, hash: `0x${number}`, timestampMs: number },
})
const up: ChainEvent = { kind: 'up', endpoint: 'a' }
const down: ChainEvent = { kind: 'down', endpoint: 'a', why: 'b' }

async function all(events: AsyncIterable<ChainEvent>): Promise<ChainEvent[]> {
  const seen: ChainEvent[] = []
  for await (const event of events) seen.push(event)
  return seen
}

await t.test('a reader gets what came before its first read, and the end', async t => {
  const stream = eventStream()
  const reading = all(stream.read(new AbortController().signal, [up]))
  stream.emit(best(1))
  await new Promise(setImmediate)
  stream.emit(down)
  await new Promise(setImmediate)
  stream.end()
  t.same(await reading, [up, best(1), down])
})

await t.test('a slow reader misses overtaken heads only', async t => {
  const stream = eventStream()
  const events = stream.read(new AbortController().signal, [])
  for (let number = 1; number <= 10_000; number++) stream.emit(best(number))
  for (const event of [down, down, up]) stream.emit(event)
  stream.emit(best(10_001))
  const seen: ChainEvent[] = []
  for await (const event of events) {
    seen.push(event)
    if (seen.length === 5) break
  }
  t.same(seen, [best(10_000), down, down, up, best(10_001)])
})

await t.test('the signal ends a reader that waits', async t => {
  const stream = eventStream()
  const stop = new AbortController()
  const reading = all(stream.read(stop.signal, []))
  await new Promise(setImmediate)
  stop.abort()
  t.same(await reading, [])
})
