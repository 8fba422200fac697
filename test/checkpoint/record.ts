import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readCheckpoint } from '../../src/checkpoint/folder.js'
import { parseGenerationParams } from '../../src/checkpoint/generation-params.js'
import {
  CheckpointMetadataError,
  missingMetadata,
  parseCheckpointFiles,
  parseCheckpointRecord,
} from '../../src/checkpoint/record.js'
import { FORK_V1, GRAIL_V5 } from '../../src/protocol/profile.js'

const generation = { max_tokens: 2048, temperature: 0.7, top_p: 0.9, top_k: 50, repetition_penalty: 1 }

function goodMetadata(): Record<string, unknown> {
  return {
    window: 930,
    file_manifest: { 'model.safetensors': 'ab'.repeat(32) },
    training_config: {},
    model_name: 'async_trainer_snapshot',
    parent_window: 900,
    checkpoint_type: 'DELTA',
    prev_window: 900,
    anchor_window: 900,
    weights_hash: '1e4aff6f4b11436c0021835d6afce82d',
    env_id: 'gsm8k',
    env_params: { split: 'train' },
    generation_params: generation,
    thinking_mode: 'native',
    config_hash: 'x',
  }
}

t.test('sampling parameters are read as the reference reads them', t => {
  const parse = (over: object, profile = GRAIL_V5) => parseGenerationParams({ ...generation, ...over }, profile)
  t.same(parse({}), { maxTokens: 2048, temperature: 0.7, topP: 0.9, topK: 50, repetitionPenalty: 1 })
  t.equal(parse({ max_tokens: 100_000 }).maxTokens, 8192, 'clamped to the cap')
  t.equal(parse({ max_tokens: 100_000 }, FORK_V1).maxTokens, 2048, "the profile's")
  t.equal(parse({ max_tokens: ' 1_000 ' }).maxTokens, 1000)
  t.equal(parse({ max_tokens: true }).maxTokens, 1)
  t.equal(parse({ top_k: 20.9 }).topK, 20)
  t.equal(parse({ top_k: 0 }).topK, 0, 'off')
  t.equal(parse({ top_p: '0.5' }).topP, 0.5)
  t.end()
})

t.test('a sampling parameter that is missing, unreadable or out of range is named', t => {
  const cases: [field: string, value: unknown][] = [
    ['max_tokens', undefined],
    ['max_tokens', null],
    ['max_tokens', 0],
    ['max_tokens', -3],
    ['max_tokens', 0.9],
    ['max_tokens', 'many'],
    ['max_tokens', [5]],
    ['max_tokens', Number.POSITIVE_INFINITY],
    ['temperature', undefined],
    ['temperature', 0],
    ['temperature', 2.01],
    ['temperature', 'nan'],
    ['top_p', -0.1],
    ['top_p', 1.01],
    ['top_p', null],
    ['top_k', -1],
    ['top_k', 1001],
    ['top_k', 'NaN'],
    ['repetition_penalty', 0.99],
    ['repetition_penalty', 2.1],
    ['repetition_penalty', undefined],
  ]
  for (const [field, value] of cases)
    t.throws(
      () => parseGenerationParams({ ...generation, [field]: value }, GRAIL_V5),
      { name: 'RangeError', message: new RegExp(`^generation_params\\.${field} `) },
      `${field} = ${JSON.stringify(value)}`,
    )
  for (const raw of [undefined, null, [], 'x', {}])
    t.throws(() => parseGenerationParams(raw, GRAIL_V5), /generation_params\.max_tokens is missing/)
  t.end()
})

t.test('what metadata lacks is listed field by field', t => {
  const cases: [change: object, missing: string[]][] = [
    [{}, []],
    [{ env_params: {} }, []],
    [{ env_id: null }, ['env_id']],
    [{ env_id: '' }, ['env_id']],
    [{ thinking_mode: null }, ['thinking_mode']],
    [{ thinking_mode: 'bogus' }, ['thinking_mode="bogus"']],
    [{ generation_params: {} }, ['generation_params']],
    [{ generation_params: null }, ['generation_params']],
    [
      { generation_params: { max_tokens: 5, top_p: 1 } },
      ['generation_params.temperature', 'generation_params.top_k', 'generation_params.repetition_penalty'],
    ],
  ]
  for (const [change, missing] of cases) t.same(missingMetadata({ ...goodMetadata(), ...change }), missing)
  for (const raw of [null, 5, [], 'x']) t.same(missingMetadata(raw), ['env_id', 'generation_params', 'thinking_mode'])
  t.end()
})

t.test('good metadata becomes a record', t => {
  const record = parseCheckpointRecord(goodMetadata(), GRAIL_V5)
  t.same(record.metadata, {
    window: 930,
    modelName: 'async_trainer_snapshot',
    weightsHash: '1e4aff6f4b11436c0021835d6afce82d',
    environment: 'gsm8k',
    environmentParams: { split: 'train' },
    generation: { maxTokens: 2048, temperature: 0.7, topP: 0.9, topK: 50, repetitionPenalty: 1 },
    thinkingMode: 'native',
  })
  t.same([record.kind, record.previousWindow, record.anchorWindow], ['DELTA', 900, 900])
  t.same([...record.manifest], [['model.safetensors', 'ab'.repeat(32)]])
  const shouted = { ...goodMetadata(), weights_hash: '1E4AFF6F4B11436C0021835D6AFCE82D' }
  t.equal(parseCheckpointRecord(shouted, GRAIL_V5).metadata.weightsHash, record.metadata.weightsHash, 'in one spelling')
  t.equal(parseCheckpointFiles(shouted, 'DELTA').weightsHash, record.metadata.weightsHash)
  const bare = {
    window: 0,
    file_manifest: {},
    env_id: 'sat',
    generation_params: generation,
    thinking_mode: 'instructed',
  }
  t.match(parseCheckpointRecord(bare, GRAIL_V5), {
    kind: 'FULL',
    previousWindow: undefined,
    metadata: { modelName: 'no_name', weightsHash: '', environmentParams: {} },
  })
  t.end()
})

t.test('metadata nothing may be mined with is refused with one clear error', t => {
  const cases: [change: object, said: RegExp][] = [
    [{ env_id: undefined, thinking_mode: 'x' }, /lacks env_id, thinking_mode="x"/],
    [{ generation_params: { ...generation, temperature: 9 } }, /generation_params\.temperature is 9/],
    [{ env_id: 'affine_trace' }, /"affine_trace"; validators of grail-v5 know sat, /],
    [{ env_id: 5 }, /asks for environment 5/],
    [{ window: -30 }, /window: /],
    [{ window: '930' }, /window: /],
    [{ file_manifest: { a: 'short' } }, /file_manifest\.a: /],
    [{ checkpoint_type: 'HALF' }, /checkpoint_type: /],
    [{ env_params: [] }, /env_params: /],
  ]
  for (const [change, said] of cases) {
    const parse = () => parseCheckpointRecord({ ...goodMetadata(), ...change }, GRAIL_V5)
    t.throws(parse, { name: 'CheckpointMetadataError', message: said }, said.source)
  }
  t.throws(() => parseCheckpointRecord(null, GRAIL_V5), CheckpointMetadataError)
  t.end()
})

t.test('a checkpoint’s folder is read, or it is said why not', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'grail-checkpoint-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const write = (text: string) => writeFile(join(folder, 'metadata.json'), text)
  t.match(await readCheckpoint(folder, GRAIL_V5), /there is no checkpoint: .*metadata\.json does not exist/)
  await write('{"window":')
  t.match(await readCheckpoint(folder, GRAIL_V5), /is not JSON/)
  await write('{}')
  t.match(await readCheckpoint(folder, GRAIL_V5), /lacks env_id, generation_params, thinking_mode/)
  await write(JSON.stringify(goodMetadata()))
  t.match(await readCheckpoint(folder, GRAIL_V5), { folder, metadata: { window: 930 } })
  await t.rejects(readCheckpoint(join(folder, 'metadata.json'), GRAIL_V5), { code: 'ENOTDIR' })
})
