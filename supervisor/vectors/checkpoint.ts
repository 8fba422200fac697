import { createHash } from 'node:crypto'
import { applyDelta, type Delta, decodeDelta, type TensorDelta, unpack } from '../../src/checkpoint/delta.js'
import { encodeDeltaPayload } from '../../src/checkpoint/delta-encoding.js'
import { columnsOf, type DeltaVersion } from '../../src/checkpoint/delta-format.js'
import { parseGenerationParams } from '../../src/checkpoint/generation-params.js'
import {
  checkpointKindPrefix,
  checkpointMetadataKey,
  checkpointPrefix,
  readyMarkerKey,
  windowOfKey,
} from '../../src/checkpoint/paths.js'
import { missingMetadata } from '../../src/checkpoint/record.js'
import { anchorWindow, chainWindows, isAnchorWindow, retainedWindows } from '../../src/checkpoint/retention.js'
import { latestReadyCheckpoint } from '../../src/checkpoint/selection.js'
import { ELEMENT_BYTES, type Tensor, type TensorType } from '../../src/checkpoint/tensor.js'
import { weightsHash } from '../../src/checkpoint/weights-hash.js'
import { byCodePoint } from '../../src/protocol/canonical-json.js'
import { FORK_V1, GRAIL_V5, type Profile } from '../../src/protocol/profile.js'
import { type Check, type Checks, same } from './check.js'
import { expectError } from './expect-error.js'

/** Checkpoint metadata, choice, retention, deltas and hashes. */
export const checkpointChecks: Checks = {
  'generation_params.json': (file, index) => {
    const c = file.cases[index]
    const run = () => parseGenerationParams(c.input, GRAIL_V5)
    if (c.error) return expectError(c.error, run) ?? namesSameField(run, c.message)
    const params = run()
    return same(
      {
        max_new_tokens: params.maxTokens,
        temperature: params.temperature,
        do_sample: true,
        top_p: params.topP,
        // 0 is how the reference is told "no limit", and null how it says so
        top_k: params.topK === 0 ? null : params.topK,
        repetition_penalty: params.repetitionPenalty,
        trim_right_padding: false,
      },
      c.accepted,
    )
  },

  'checkpoint_metadata_validate.json': (file, index) => {
    const c = file.cases[index]
    // how a wrong value is shown behind a field's name is wording; which fields are named is the rule
    const fields = (names: string[]) => names.map(name => /^[\w.]+/.exec(name)?.[0] ?? name).sort(byCodePoint)
    return same(fields(missingMetadata(c.metadata)), fields(c.missing))
  },

  'checkpoint_selection.json': (file, index) => {
    const c = file.cases[index]
    const judge = SELECTION[c.fn]
    return judge ? judge(c) : `no check knows the function ${c.fn}`
  },

  'sparse_delta_codec.json': async (file, index) => {
    const c = file.cases[index]
    for (const [key, version] of [
      ['v2', 2],
      ['v3', 3],
      ['v3_1', 31],
    ] as const) {
      if (c[key] === undefined) continue
      const encoded = c[key]
      const failure = encoded.error
        ? expectError(encoded.error, () => decodeDelta(Buffer.from(encoded.compressed_hex, 'hex'), version))
        : codecFailure(c, encoded, version)
      if (failure) return `${key}: ${failure}`
    }
    return c.base_le_hex === undefined ? undefined : await applyFailure(c)
  },

  'weights_hash.json': weightsHashCheck(GRAIL_V5, 'xxh3_128'),
  'weights_hash_fork.json': weightsHashCheck(FORK_V1, 'sha256'),
}

// biome-ignore lint/suspicious/noExplicitAny: a case of a vector file
type Case = any

const SELECTION: Readonly<Record<string, (c: Case) => string | undefined>> = {
  get_latest_ready_checkpoint: c => same(latestReadyCheckpoint(c.keys, c.before_window) ?? null, c.result),
  compute_retention_windows: c => same(retainedWindows(c.window), c.result),
  'get_anchor_window/is_anchor_window': c =>
    same([anchorWindow(c.window), isAnchorWindow(c.window)], [c.anchor, c.is_anchor]),
  compute_chain_windows: c =>
    same(chainWindows(c.retained_deltas, numberMap(c.chain_map), numberMap(c.anchor_map)), c.result),
  parse_window_from_prefix: c => same(windowOfKey(c.prefix) ?? null, c.result ?? c.window ?? null),
  keys: c =>
    same(
      {
        prefix: checkpointPrefix(c.window),
        delta: checkpointKindPrefix(c.window, 'DELTA'),
        full: checkpointKindPrefix(c.window, 'FULL'),
        delta_metadata: checkpointMetadataKey(c.window, 'DELTA'),
        full_metadata: checkpointMetadataKey(c.window, 'FULL'),
        ready_marker: readyMarkerKey(c.window, c.ready),
      },
      {
        prefix: c.prefix,
        delta: c.delta,
        full: c.full,
        delta_metadata: c.delta_metadata,
        full_metadata: c.full_metadata,
        ready_marker: c.ready_marker,
      },
    ),
}

function numberMap(record: Record<string, number>): Map<number, number> {
  return new Map(Object.entries(record).map(([key, value]) => [Number(key), value]))
}

/** The refusal must be about the field the reference refuses. */
function namesSameField(run: () => unknown, message: string | undefined): string | undefined {
  const field = /max_tokens|temperature|top_p|top_k|repetition_penalty/.exec(message ?? '')?.[0]
  if (!field) return undefined
  try {
    run()
  } catch (error) {
    const text = String((error as Error).message)
    return text.startsWith(`generation_params.${field}`) ? undefined : `expected a refusal of ${field}, got: ${text}`
  }
  return undefined
}

function codecFailure(c: Case, encoded: Case, version: DeltaVersion): string | undefined {
  const compressed = Buffer.from(encoded.compressed_hex, 'hex')
  const payload = Buffer.from(unpack(compressed))
  const headerLength = payload.readUInt32LE(0)
  const header = payload.subarray(4, 4 + headerLength).toString('utf8')
  const delta = decodeDelta(compressed, version)
  return (
    same(headerLength, encoded.header_len ?? headerLength) ??
    same(JSON.parse(header), encoded.header) ??
    same(payload.subarray(4 + headerLength).toString('hex'), encoded.payload_hex ?? '') ??
    (encoded.uncompressed_sha256 === undefined ? undefined : same(sha256(payload), encoded.uncompressed_sha256)) ??
    (encoded.decoded === undefined ? undefined : decodedFailure(delta, encoded.decoded, version)) ??
    same(sha256(encodeDeltaPayload(sparseTensors(c), version)), sha256(payload))
  )
}

function decodedFailure(delta: Delta, decoded: Record<string, Case>, version: DeltaVersion): string | undefined {
  const names = Object.keys(decoded).filter(key => key.endsWith('.indices'))
  const actual = [...delta.tensors.keys()].map(name => `${name}.indices`)
  const wrong = same(actual.sort(byCodePoint), names.sort(byCodePoint))
  if (wrong) return wrong
  for (const [name, tensor] of delta.tensors) {
    const { rows, columns } = tensor
    const indices =
      version === 2 ? rows.map((row, i) => row * columnsOf(tensor.shape) + columns[i]!) : [...rows, ...columns]
    const hex = Buffer.from(Int32Array.from(indices).buffer).toString('hex')
    const failure =
      same(hex, decoded[`${name}.indices`].le_hex) ??
      same(Buffer.from(tensor.values).toString('hex'), decoded[`${name}.values`].le_hex)
    if (failure) return `${name}: ${failure}`
  }
  return undefined
}

/** The changes a case starts from, in the order the reference was given them. */
function sparseTensors(c: Case): Map<string, TensorDelta> {
  const tensors = new Map<string, TensorDelta>()
  for (const [key, indices] of Object.entries<Case>(c.sparse ?? {})) {
    if (!key.endsWith('.indices')) continue
    const name = key.slice(0, -'.indices'.length)
    const values = c.sparse[`${name}.values`]
    const numbers = int32(indices.le_hex)
    const shape: number[] = c.delta_shapes[name]
    const count = numbers.length / (indices.shape.length === 2 ? indices.shape[0] : 1)
    const width = columnsOf(shape)
    const isFlat = indices.shape.length === 1
    tensors.set(name, {
      type: typeOf(values.dtype),
      shape,
      rows: isFlat ? numbers.map(flat => Math.floor(flat / width)) : numbers.slice(0, count),
      columns: isFlat
        ? numbers.map(flat => flat % width)
        : indices.shape[0] === 2
          ? numbers.slice(count)
          : new Int32Array(count),
      values: Buffer.from(values.le_hex, 'hex'),
    })
  }
  return tensors
}

async function applyFailure(c: Case): Promise<string | undefined> {
  const base = new Map<string, Tensor>(
    Object.entries<string>(c.base_le_hex).map(([name, hex]) => [
      name,
      { type: typeOf(c.dtype), shape: c.shapes[name], bytes: Buffer.from(hex, 'hex') },
    ]),
  )
  const hex = (tensors: ReadonlyMap<string, Tensor>) =>
    Object.fromEntries(
      [...tensors].map(([name, { bytes }]) => [name, Buffer.from(bytes).toString('hex')] as const).sort(byName),
    )
  const expected = Object.fromEntries(Object.entries<string>(c.result_le_hex).sort(byName))
  for (const key of ['v2', 'v3', 'v3_1']) {
    if (c[key] === undefined) continue
    const result = applyDelta(base, decodeDelta(Buffer.from(c[key].compressed_hex, 'hex')))
    const failure =
      same(hex(result), expected) ??
      same(await weightsHash(base, GRAIL_V5), c.weights_hash_base_xxh3_128) ??
      same(await weightsHash(result, GRAIL_V5), c.weights_hash_result_xxh3_128)
    if (failure) return `${key} applied: ${failure}`
  }
  return undefined
}

function weightsHashCheck(profile: Profile, key: string): Check {
  return async (file, index) => {
    const c = file.cases[index]
    const tensors = new Map<string, Tensor>(
      Object.entries<Case>(c.tensors).map(([name, { dtype, shape, le_hex }]) => [
        name,
        { type: typeOf(dtype), shape, bytes: Buffer.from(le_hex, 'hex') },
      ]),
    )
    return same(await weightsHash(tensors, profile), c[key])
  }
}

function typeOf(torchName: string): TensorType {
  const name = torchName.replace(/^torch\./, '')
  if (!Object.hasOwn(ELEMENT_BYTES, name)) throw new RangeError(`no element type ${torchName}`)
  return name as TensorType
}

function int32(hex: string): Int32Array {
  const bytes = Buffer.from(hex, 'hex')
  return Int32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readInt32LE(4 * i))
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
