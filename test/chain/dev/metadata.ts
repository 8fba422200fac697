import { expandMetadata, Metadata, TypeRegistry } from '@polkadot/types'
import t from 'tap'
import { devMetadata } from '../../../src/chain/dev/metadata.js'
import { readRuntime } from '../../../src/chain/dev/runtime.js'

const registry = new TypeRegistry()
const metadata = new Metadata(registry, devMetadata())
registry.setMetadata(metadata)

await t.test('the own runtime is version 15 and small', async t => {
  t.equal(metadata.version, 15)
  t.ok(devMetadata().length < 20_000, `${devMetadata().length} bytes`)
})

await t.test('what an absent entry reads as decodes as its type', async t => {
  for (const { name, storage } of metadata.asLatest.pallets) {
    for (const item of storage.unwrap().items) {
      const where = `${name}.${item.name}`
      if (item.modifier.isOptional) {
        t.equal(item.fallback.toHex(), '0x00', where)
        continue
      }
      const type = registry.createLookupType(item.type.isPlain ? item.type.asPlain : item.type.asMap.value)
      const bytes = item.fallback.toU8a(true)
      t.equal(registry.createType(type, bytes).toU8a().length, bytes.length, where)
    }
  }
})

await t.test('pallet indices are those of the real runtime; an upgrade moves the commitments', async t => {
  const indexOf = (meta: Metadata, name: string) =>
    meta.asLatest.pallets.find(pallet => pallet.name.toString() === name)?.index.toNumber()
  const indices = { System: 0, Timestamp: 2, SubtensorModule: 7, Commitments: 18, Drand: 26 }
  for (const [name, index] of Object.entries(indices)) t.equal(indexOf(metadata, name), index, name)
  t.equal(indexOf(new Metadata(new TypeRegistry(), devMetadata(19)), 'Commitments'), 19)
})

await t.test('errors and events are found by name', async t => {
  const runtime = readRuntime(devMetadata(), 424)
  t.same(runtime.moduleError('commitments', 'SpaceLimitExceeded'), { Module: { index: 18, error: [2, 0, 0, 0] } })
  t.throws(() => runtime.moduleError('commitments', 'Nonsense'), /spec 424 has no error/)
  t.throws(() => runtime.key('commitments', 'nonsense'), /spec 424 has no storage entry/)
  t.throws(() => runtime.event('system', 'Nonsense', []), /spec 424 has no event/)
  t.ok(expandMetadata(registry, metadata).tx.commitments?.setCommitment)
})
