import { createHash } from 'node:crypto'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import t from 'tap'
import { FORK_V1, GRAIL_V5 } from '../../src/protocol/profile.js'
import { recordBatchOf } from '../../src/window/parquet/batch.js'
import { footerBytes, MAGIC } from '../../src/window/parquet/footer.js'
import { nativeZstd } from '../../src/window/parquet/native-zstd.js'
import type { Part } from '../../src/window/parquet/parts.js'
import { encodeRowGroup, movedBy } from '../../src/window/parquet/row-group.js'
import { rowsOf } from '../../src/window/parquet/rows.js'
import { windowSchema } from '../../src/window/parquet/schema.js'
import { openWindowFile, type WindowFile, windowFileBytes } from '../../src/window/parquet/writer.js'
import { sampleGroup } from '../helpers/group.js'
import { withSampleSignatures } from '../helpers/signed.js'

const nativeAbsent = nativeZstd() ? false : 'there is no build of zstd for this machine'

const header = {
  wallet: '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY',
  windowStart: 7_654_320,
  windowLength: 30,
  timestamp: 1_775_000_001.5,
  rehearsal: false,
}

const signedGroup = (index: number) => withSampleSignatures(sampleGroup({ index }))

function opened(partBytes = 10_000, options: { rehearsal?: boolean } = {}): { file: WindowFile; parts: Part[] } {
  const parts: Part[] = []
  const file = openWindowFile(
    { ...header, ...options },
    {
      profile: GRAIL_V5,
      partBytes,
      onPart: async part => {
        parts.push(part)
      },
    },
  )
  return { file, parts }
}

const joined = (parts: Part[]) => Uint8Array.from(Buffer.concat(parts.map(part => part.bytes)))

t.test('every part but the last has exactly the asked size, and together they are the file', async t => {
  for (const partBytes of [1_000, 4_096, 65_536, 1 << 20]) {
    const { file, parts } = opened(partBytes)
    for (let i = 0; i < 20; i++) await file.append(signedGroup(i))
    const result = await file.close()
    const bytes = joined(parts)
    t.strictSame(
      parts.map(part => part.number),
      parts.map((_, i) => i + 1),
      'numbers count from 1',
    )
    t.ok(parts.slice(0, -1).every(part => part.bytes.length === partBytes && !part.last))
    t.ok(parts.at(-1)?.last && parts.at(-1)?.bytes.length !== 0)
    t.equal(result.bytes, bytes.length)
    t.equal(result.parts, parts.length)
    t.equal(result.sha256, createHash('sha256').update(bytes).digest('hex'))
    t.equal(result.rows, 320)
    t.equal(result.rowGroups, 3, '128 rows, 128 rows, the rest')
    t.equal(parquetMetadata(bytes.buffer as ArrayBuffer).num_rows, 320n)
  }
})

t.test('a file whose size is a multiple of the part size still ends with a last part', async t => {
  const whole = opened(1 << 24)
  await whole.file.append(signedGroup(0))
  const { bytes, sha256 } = await whole.file.close()
  const cut = opened(bytes)
  await cut.file.append(signedGroup(0))
  t.match(await cut.file.close(), { bytes, sha256, parts: 1 }, 'and the same groups make the same bytes')
})

t.test(
  'pages compressed as machine code lie in a file as those of parquet-wasm do',
  { skip: nativeAbsent },
  async t => {
    const rows = Array.from({ length: 8 }, (_, i) => rowsOf(signedGroup(i), GRAIL_V5)).flat()
    const batch = () => recordBatchOf(windowSchema(GRAIL_V5), rows)
    const files = [
      encodeRowGroup(batch(), GRAIL_V5),
      encodeRowGroup(batch(), GRAIL_V5, { tune: wanted => wanted }),
    ].map(encoded => {
      const rowGroups = [movedBy(encoded.description!, MAGIC.length)]
      const footer = footerBytes({ ...encoded.footer, rowGroups }, encoded.rows, 'test')
      return Uint8Array.from(Buffer.concat([MAGIC, encoded.bytes, footer])).buffer
    })
    const [here, there] = files.map(file => parquetMetadata(file).row_groups[0]!)
    const facts = (of: typeof here) =>
      of!.columns.map(({ meta_data: column }) => ({
        ...column,
        // Another release of zstd, other bytes; a header tells them in one byte more or less.
        total_compressed_size: undefined,
        total_uncompressed_size: undefined,
        data_page_offset: undefined,
        dictionary_page_offset: column!.dictionary_page_offset !== undefined,
      }))
    t.same(facts(here), facts(there), 'codec, encodings, statistics and counts are the same')
    t.ok(here!.columns.every(({ meta_data }) => meta_data!.codec === 'ZSTD'))
    const sum = (of: typeof here, what: 'total_compressed_size' | 'total_uncompressed_size') =>
      of!.columns.reduce((all, { meta_data }) => all + meta_data![what], 0n)
    t.equal(here!.total_byte_size, sum(here, 'total_uncompressed_size'), 'sizes are the sums of their columns')
    t.equal(here!.total_compressed_size, sum(here, 'total_compressed_size'))
    const ratio = Number(here!.total_compressed_size) / Number(there!.total_compressed_size)
    t.ok(ratio > 0.95 && ratio < 1.05, `${ratio} times as large`)
    const [mine, theirs] = await Promise.all(files.map(file => parquetReadObjects({ file, compressors })))
    t.equal(mine!.length, 128)
    t.same(mine, theirs, 'and so are all values')
  },
)

t.test('texts that lie in a file without having been through Arrow', { skip: nativeAbsent }, async t => {
  const rows = Array.from({ length: 8 }, (_, i) => rowsOf(signedGroup(i), GRAIL_V5)).flat()
  const lengths: [string, (i: number) => number][] = [
    ['short ones in one page', () => 10],
    ['none of them with a byte', () => 0],
    ['long ones, several pages', i => 20_000 + i],
    ['one longer than a page between short ones', i => (i === 64 ? 3_000_000 : 5)],
    ['a page that is full to the byte', () => 8_188],
  ]
  for (const [what, length] of lengths) {
    await t.test(what, async t => {
      const texts = rows.map((_, i) => Buffer.alloc(length(i), `[{"sketch":${i}}]`))
      const files = await Promise.all(
        [texts, texts.map(text => text.toString())].map(commitments =>
          windowFileBytes(
            header,
            GRAIL_V5,
            rows.map((row, i) => ({ ...row, commit: { ...row.commit, commitments: commitments[i] } })),
          ),
        ),
      )
      const buffers = files.map(bytes => bytes.buffer as ArrayBuffer)
      const [mine, theirs] = await Promise.all(buffers.map(file => parquetReadObjects({ file, compressors })))
      t.equal(mine?.length, 128)
      t.same(mine, theirs, 'the same rows as through Arrow')
      const [here, there] = buffers.map(file => parquetMetadata(file).row_groups[0]?.columns ?? [])
      const others = (columns: typeof here) =>
        columns?.map(({ meta_data }) => meta_data).filter(column => column?.path_in_schema[1] !== 'commitments').length
      t.equal(others(here), others(there), 'no column is lost')
      const column = here?.find(({ meta_data }) => meta_data?.path_in_schema.join('.') === 'commit.commitments')
      t.match(column?.meta_data, { num_values: 128n, encodings: ['PLAIN', 'RLE'], statistics: { null_count: 0n } })
      t.equal(column?.meta_data?.statistics?.min_value, undefined, 'and no bounds of the empty texts in their place')
    })
  }

  const apart = (path: string[], texts: Uint8Array[]) => () =>
    encodeRowGroup(recordBatchOf(windowSchema(GRAIL_V5), rows), GRAIL_V5, { apart: { path, texts } })
  const texts = rows.map(() => new Uint8Array(3))
  t.throws(apart(['commit', 'commitment'], texts), /no column commit.commitment/, 'a column that is not there')
  t.throws(apart(['commit', 'commitments'], texts.slice(1)), /a batch of as many rows/, 'a text too few')
})

t.test('the rows are the groups, value for value and in the order appended', async t => {
  const { file, parts } = opened()
  const signed = [signedGroup(5), signedGroup(0)]
  for (const one of signed) await file.append(one)
  await file.close()
  const bytes = joined(parts)
  const rows = await parquetReadObjects({ file: bytes.buffer as ArrayBuffer, compressors })
  t.equal(rows.length, 32)
  signed.forEach(({ group, rows: signatures }, g) => {
    group.rollouts.forEach((rollout, i) => {
      const nonce = group.index * 16 + i
      t.strictSame(rows[g * 16 + i], {
        window_start: BigInt(group.window),
        block: BigInt(group.block),
        nonce: BigInt(nonce),
        block_hash: group.windowHash,
        randomness: group.randomness,
        use_drand: true,
        rollout_group: BigInt(group.index),
        rollout_index: i,
        total_in_group: 16,
        checkpoint_window: BigInt(group.model.checkpointWindow),
        commit: {
          tokens: [...group.promptIds, ...rollout.completionIds],
          commitments: JSON.stringify([...rollout.sketches].map(sketch => ({ sketch }))),
          proof_version: 'v5',
          model: { name: 'async_trainer_snapshot', layer_index: -1 },
          signature: signatures[i]?.commitSignature,
          beacon: JSON.stringify({ randomness: group.randomness }),
          rollout: {
            total_reward: rollout.reward,
            advantage: rollout.advantage,
            success: rollout.success,
            token_logprobs: [...group.promptIds.map(() => 0), ...rollout.logprobs],
            prompt_length: group.promptIds.length,
            completion_length: rollout.completionIds.length,
          },
        },
        timestamp: group.timestamp,
        challenge: signatures[i]?.challenge,
        hotkey: group.hotkey,
        signature: signatures[i]?.signature,
      })
    })
  })
})

t.test('the footer carries the header as text, with the number of rows known only at the end', async t => {
  for (const rehearsal of [false, true]) {
    const { file, parts } = opened(1 << 20, { rehearsal })
    await file.append(signedGroup(0))
    await file.append(signedGroup(1))
    await file.close()
    const metadata = parquetMetadata(joined(parts).buffer as ArrayBuffer)
    const texts = Object.fromEntries((metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value]))
    t.match(texts, {
      wallet: header.wallet,
      window_start: '7654320',
      window_length: '30',
      inference_count: '32',
      timestamp: '1775000001.5',
    })
    t.equal(texts.rehearsal, rehearsal ? 'true' : undefined)
    const chunks = metadata.row_groups.flatMap(rowGroup => rowGroup.columns)
    t.ok(
      chunks.every(chunk => chunk.meta_data?.codec === 'ZSTD' && chunk.meta_data.statistics),
      'every column chunk is ZSTD and has statistics',
    )
  }
})

t.test('randomness that is the hash of the window hash says that no drand was used', async t => {
  const group = sampleGroup()
  group.randomness = createHash('sha256').update(group.windowHash).digest('hex')
  const { file, parts } = opened()
  await file.append(withSampleSignatures(group))
  await file.close()
  const [row] = await parquetReadObjects({ file: joined(parts).buffer as ArrayBuffer, compressors })
  t.equal(row?.use_drand, false)
})

t.test('a file without rows is still a Parquet file of the schema', async t => {
  const { file, parts } = opened()
  t.match(await file.close(), { rows: 0, parts: 1 })
  t.equal(parquetMetadata(joined(parts).buffer as ArrayBuffer).num_rows, 0n)
})

t.test('an abort ends the file: no more parts, no footer, and what was handed out is no Parquet file', async t => {
  const { file, parts } = opened(5_000)
  for (let i = 0; i < 9; i++) await file.append(signedGroup(i))
  const before = parts.length
  t.ok(before > 0, 'parts were handed out before the abort')
  const reason = new Error('a newer checkpoint is READY')
  file.abort(reason)
  await t.rejects(file.append(signedGroup(9)), reason)
  await t.rejects(file.close(), reason)
  t.equal(parts.length, before)
  t.throws(() => parquetMetadata(joined(parts).buffer as ArrayBuffer))
})

t.test('the first error fails the file for good, wherever it comes from', async t => {
  const broken = signedGroup(3)
  broken.group.block = 0.5
  const fifteen = signedGroup(3)
  fifteen.rows.pop()
  for (const [what, bad, message] of [
    ['a block that is no integer', broken, /0.5 is no int64/],
    ['a missing signature', fifteen, /16 rollouts and 15 signatures/],
  ] as const) {
    const { file, parts } = opened(1_000)
    for (let i = 0; i < 7; i++) await file.append(signedGroup(i))
    const before = parts.length
    await t.rejects(file.append(bad), message, what)
    await t.rejects(file.append(signedGroup(4)), message)
    await t.rejects(file.close(), message, 'close cannot make a valid but truncated file of it')
    t.equal(parts.length, before)
  }
})

t.test('a part that nobody takes fails the file', async t => {
  let offered = 0
  const full = new Error('disk full')
  const file = openWindowFile(header, {
    profile: GRAIL_V5,
    partBytes: 2_000,
    onPart: async () => {
      offered++
      if (offered === 2) throw full
    },
  })
  await t.rejects(async () => {
    for (let i = 0; i < 16; i++) await file.append(signedGroup(i))
  }, full)
  await t.rejects(file.close(), full)
  t.equal(offered, 2)
})

t.test('calls that are not waited for are still done in order, and nothing follows a close', async t => {
  const { file, parts } = opened(1 << 20)
  const results = await Promise.all([file.append(signedGroup(2)), file.append(signedGroup(1)), file.close()])
  t.match(results[2], { rows: 32 })
  await t.rejects(file.append(signedGroup(3)), /already closed/)
  const rows = await parquetReadObjects({ file: joined(parts).buffer as ArrayBuffer, compressors })
  t.strictSame([rows[0]?.rollout_group, rows[16]?.rollout_group], [2n, 1n])
})

t.test('a profile whose commitments a staged group cannot carry is refused', async t => {
  const file = openWindowFile(header, { profile: FORK_V1, partBytes: 1_000, onPart: () => undefined })
  await t.rejects(file.append(signedGroup(0)), /fork-v1 commits to sketch, indices, position/)
})
