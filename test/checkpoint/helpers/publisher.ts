import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import type { Bucket } from '../../../src/bucket/bucket.js'
import type { TensorDelta } from '../../../src/checkpoint/delta.js'
import { encodeDeltaPayload } from '../../../src/checkpoint/delta-encoding.js'
import { columnsOf, DELTA_FORMATS, type DeltaVersion } from '../../../src/checkpoint/delta-format.js'
import { type CheckpointKind, checkpointKindPrefix, readyMarkerKey } from '../../../src/checkpoint/paths.js'
import { ELEMENT_BYTES, type Tensor, type TensorType } from '../../../src/checkpoint/tensor.js'
import { weightsHash } from '../../../src/checkpoint/weights-hash.js'
import { GRAIL_V5 } from '../../../src/protocol/profile.js'

// What a trainer does: checkpoints put into a bucket as one-covenant/grail grail/trainer/checkpoint_publisher.py does, small.

export type Weights = ReadonlyMap<string, Tensor>

const never = new AbortController().signal
const DTYPES = { bfloat16: 'BF16', float16: 'F16', float32: 'F32' } as const

/** Numbers in [0, 1) that are the same every time (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const SHAPES: Readonly<Record<string, [TensorType, number[]]>> = {
  'model.embed_tokens.weight': ['bfloat16', [300, 64]],
  'model.layers.0.mlp.weight': ['bfloat16', [70, 50]],
  'model.layers.10.mlp.weight': ['float16', [9, 5]],
  'model.layers.2.mlp.weight': ['bfloat16', [7, 3, 2]],
  'model.norm.weight': ['float32', [64]],
}

/** Weights of a small model. @param scale how many times as many rows the first tensor has */
export function someWeights(seed: number, scale = 1): Weights {
  const random = randomOf(seed)
  return new Map(
    Object.entries(SHAPES).map(([name, [type, shape]], i) => {
      const grown = i === 0 ? [shape[0]! * scale, ...shape.slice(1)] : shape
      const count = grown.reduce((product, size) => product * size, 1)
      return [name, { type, shape: grown, bytes: randomBytes(count * ELEMENT_BYTES[type], random) }]
    }),
  )
}

/** Weights after a step of training: about a twentieth of the elements differs. */
export function trained(weights: Weights, seed: number): Weights {
  const random = randomOf(seed)
  return new Map(
    [...weights].map(([name, tensor]) => {
      const width = ELEMENT_BYTES[tensor.type]
      const bytes = Uint8Array.from(tensor.bytes)
      for (let at = 0; at < bytes.length; at += width)
        if (random() < 0.05) for (let j = 0; j < width; j++) bytes[at + j] = Math.floor(random() * 256)
      return [name, { ...tensor, bytes }]
    }),
  )
}

/** A safetensors file. */
export function safetensors(weights: Weights): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let at = 0
  for (const [name, { type, shape, bytes }] of weights) {
    header[name] = { dtype: DTYPES[type], shape, data_offsets: [at, at + bytes.length] }
    at += bytes.length
  }
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, ...[...weights.values()].map(({ bytes }) => bytes)])
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Fields of metadata.json that decide what is mined. */
export const MINED = {
  env_id: 'gsm8k',
  env_params: { split: 'train' },
  generation_params: { max_tokens: 512, temperature: 0.7, top_p: 0.9, top_k: 50, repetition_penalty: 1 },
  thinking_mode: 'native',
}

/** Files of a FULL form: two shards with an index, and what a model needs beside weights. */
export function fullFiles(weights: Weights): Record<string, Buffer> {
  const names = [...weights.keys()]
  const shards = [names.slice(0, 2), names.slice(2)].map(part => new Map(part.map(name => [name, weights.get(name)!])))
  const files: Record<string, Buffer> = {}
  shards.forEach((shard, i) => {
    files[`model-0000${i + 1}-of-00002.safetensors`] = safetensors(shard)
  })
  return {
    ...files,
    'model.safetensors.index.json': Buffer.from('{"weight_map":{}}'),
    'config.json': Buffer.from('{"hidden_size":64}'),
    'tokenizer.json': Buffer.from(`{"vocab":"${'abc'.repeat(500)}"}`),
    'tokenizer/extra.txt': Buffer.from('one level down'),
  }
}

export interface PublishOptions {
  /** Replaces fields of metadata.json. */
  metadata?: Record<string, unknown>
  /** Replaces files after the manifest was made of them; undefined leaves one out. */
  replace?: Record<string, Buffer | undefined>
  /** Window of the READY marker; none when absent. */
  ready?: number
  /** Are .json files stored as .json.gz, as the trainer does? Default true. */
  packed?: boolean
}

/** Puts one form of a checkpoint into a bucket. Returns its metadata. */
export async function publishForm(
  bucket: Bucket,
  window: number,
  kind: CheckpointKind,
  files: Record<string, Buffer>,
  { metadata = {}, replace = {}, ready, packed = true }: PublishOptions,
): Promise<Record<string, unknown>> {
  const json = {
    window,
    file_manifest: Object.fromEntries(Object.entries(files).map(([path, bytes]) => [path, sha256(bytes)])),
    training_config: { lr: 1 },
    git_commit: 'test',
    created_at: 0.5,
    model_name: 'async_trainer_snapshot',
    parent_window: window - 30,
    checkpoint_type: kind,
    prev_window: null,
    anchor_window: null,
    ...MINED,
    config_hash: 'x',
    ...metadata,
  }
  const prefix = checkpointKindPrefix(window, kind)
  const stored = {
    ...files,
    ...replace,
    'metadata.json': Buffer.from(JSON.stringify(json)),
    'manifest.sig': Buffer.from('ab'),
  }
  for (const [path, bytes] of Object.entries(stored)) {
    if (bytes === undefined) continue
    if (packed && path.endsWith('.json')) await bucket.put(`${prefix}/${path}.gz`, gzipSync(bytes), never)
    else await bucket.put(`${prefix}/${path}`, bytes, never)
  }
  if (ready !== undefined) await bucket.put(readyMarkerKey(window, ready), new Uint8Array(), never)
  return json
}

/** Publishes weights in FULL. */
export async function publishFull(bucket: Bucket, window: number, weights: Weights, options: PublishOptions = {}) {
  return publishForm(bucket, window, 'FULL', fullFiles(weights), options)
}

/** Publishes the difference of two checkpoints. */
export async function publishDelta(
  bucket: Bucket,
  window: number,
  { previous, from, to, version = 31 }: { previous: number; from: Weights; to: Weights; version?: DeltaVersion },
  options: PublishOptions = {},
) {
  const format = Object.entries(DELTA_FORMATS).find(([, other]) => other === version)![0]
  const files = {
    'delta_metadata.json': Buffer.from(JSON.stringify({ format, threshold: 0, prev_window: previous })),
    'delta_sparse.bin.zst': zstd(encodeDeltaPayload(difference(from, to), version)),
  }
  const hash = await weightsHash(to, GRAIL_V5)
  const metadata = { prev_window: previous, anchor_window: 900, weights_hash: hash, ...options.metadata }
  return publishForm(bucket, window, 'DELTA', files, { ...options, metadata })
}

/** The elements of `to` that differ from `from`. */
export function difference(from: Weights, to: Weights): Map<string, TensorDelta> {
  const changes = new Map<string, TensorDelta>()
  for (const [name, { type, shape, bytes }] of to) {
    const old = from.get(name)!.bytes
    const width = ELEMENT_BYTES[type]
    const columns = columnsOf(shape)
    const changed: number[] = []
    for (let i = 0; i * width < bytes.length; i++)
      if (bytes.subarray(i * width, (i + 1) * width).some((byte, j) => byte !== old[i * width + j])) changed.push(i)
    changes.set(name, {
      type,
      shape,
      rows: Int32Array.from(changed, i => Math.floor(i / columns)),
      columns: Int32Array.from(changed, i => i % columns),
      values: Buffer.concat(changed.map(i => bytes.subarray(i * width, (i + 1) * width))),
    })
  }
  return changes
}

/** A zstd frame of raw blocks (RFC 8878): what a compressor makes of bytes it cannot make smaller. */
export function zstd(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(13)
  head.writeUInt32LE(0xfd2fb528, 0)
  // single segment, content size of 8 bytes
  head[4] = 0xe0
  head.writeBigUInt64LE(BigInt(bytes.length), 5)
  const parts: Uint8Array[] = [head]
  const MOST = 128 * 1024
  for (let at = 0; at === 0 || at < bytes.length; at += MOST) {
    const block = bytes.subarray(at, at + MOST)
    const isLast = at + MOST >= bytes.length
    const size = Buffer.alloc(3)
    size.writeUIntLE((block.length << 3) | (isLast ? 1 : 0), 0, 3)
    parts.push(size, block)
  }
  return Buffer.concat(parts)
}

function randomBytes(count: number, random: () => number): Uint8Array {
  return Uint8Array.from({ length: count }, () => Math.floor(random() * 256))
}
