import t from 'tap'
import type { Block } from '../../../src/chain/dev/block.js'
import { createLedger } from '../../../src/chain/dev/ledger.js'
import { devMetadata } from '../../../src/chain/dev/metadata.js'
import { readRuntime } from '../../../src/chain/dev/runtime.js'

const runtime = readRuntime(devMetadata(), 424)

function ledger(options: { finalityLag?: number; statesKept?: number; headersKept?: number } = {}) {
  const final: number[] = []
  const made = createLedger({
    runtime,
    genesisState: new Map(),
    seed: 'test',
    startBlock: 1,
    finalityLag: 3,
    ...options,
    events: { best: () => {}, final: ({ number }) => final.push(number) },
  })
  const build = (count: number): Block[] =>
    Array.from({ length: count }, () => {
      const timestampMs = 1_800_000_000_000 + made.best().number * 12_000
      const block = made.build({ interventions: [], extrinsics: [], timestampMs })
      made.announce([block])
      return block
    })
  return { ledger: made, build, final }
}

await t.test('finality follows at its lag, block by block, and waits when it grows', async t => {
  const { ledger: chain, build, final } = ledger()
  build(5)
  t.same(final, [1, 2])
  chain.setFinalityLag(10)
  build(5)
  t.same(final, [1, 2])
  chain.setFinalityLag(0)
  t.same(final, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
})

await t.test('what is final cannot be undone', async t => {
  const { ledger: chain, build } = ledger()
  build(5)
  t.throws(() => chain.retract(4), { name: 'RangeError', message: /3 are not final/ })
  t.equal(chain.retract(3).length, 3)
  t.equal(chain.best().number, 2)
})

await t.test('memory is bounded: storage of few blocks, headers of more, nothing of the rest', async t => {
  const { ledger: chain, build } = ledger({ statesKept: 10, headersKept: 50 })
  const blocks = build(200)
  t.equal(blocks.filter(({ state }) => state !== undefined).length, 10)
  t.equal(blocks.filter(({ hash }) => chain.byHash(hash)).length, 50)
  t.equal(blocks.filter(({ number }) => chain.byNumber(number)).length, 50)
  t.ok(chain.byNumber(0), 'genesis stays')
})

await t.test('the hash of a fork is another one, even with the same content', async t => {
  const { ledger: chain, build } = ledger()
  const [, , , , old] = build(5)
  chain.retract(1)
  const [fork] = build(1)
  t.equal(fork?.number, old?.number)
  t.not(fork?.hash, old?.hash)
  t.equal(chain.byHash(old?.hash as string), old, 'the old one can still be looked at')
})
