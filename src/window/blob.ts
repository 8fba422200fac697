import { createHash } from 'node:crypto'
import { Packr } from 'msgpackr'
import { z } from 'zod'
import { columnsOf, groupOf } from './blob-columns.js'
import type { Group } from './group.js'
import { measurePlainMsgpack } from './msgpack-bounds.js'

/** First field of every blob: a reader that does not know the layout refuses it by name. */
export const BLOB_VERSION = 'grail-group/1'

/** Largest blob anybody decodes, bytes. A full group (16 × 12,288 positions × 12 bytes) is 2.4 MB; this leaves room for longer contexts. */
export const MAX_BLOB_BYTES = 16 * 1024 * 1024

/** The bytes are not a staged group: damaged, cut short, of another version, or made by somebody else. The same bytes will never decode. */
export class BlobError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'BlobError'
  }
}

const packr = new Packr({ useRecords: false, moreTypes: false, encodeUndefinedAsNil: false })

const text = z.string().max(512)
const count = z.int().min(0)
const seconds = z.number().min(0)
const bytes = z.instanceof(Uint8Array)

const layout = z.strictObject({
  version: z.literal(BLOB_VERSION),
  profile: text,
  engine: text,
  hotkey: text,
  window: count,
  epoch: count,
  windowHash: text,
  randomness: text,
  index: z.int(),
  seed: count.max(0xffff_ffff),
  environment: text,
  block: count,
  model: z.strictObject({
    checkpointWindow: z.int(),
    modelName: text,
    weightsHash: text,
    eosTokenId: z.int(),
    vocabSize: count,
    maxPositions: count,
  }),
  maxTokens: count,
  producer: text,
  timestamp: z.number(),
  seconds: z.strictObject({ prompt: seconds, generate: seconds, prove: seconds, reward: seconds }),
  columns: z.strictObject({
    promptIds: bytes,
    completionLengths: bytes,
    completionIds: bytes,
    sketches: bytes,
    logprobs: bytes,
    finishedByEos: bytes,
    eosProbability: bytes,
    distribution: bytes,
    reward: bytes,
    success: bytes,
    advantage: bytes,
  }),
})

/**
 * A group as the bytes that are staged: one plain msgpack map (no extension types) whose `columns` are little-endian arrays,
 * concatenated over the rollouts: int32 ids and sketches, float32 logprobs, float64 figures, u8 flags. About 12 bytes per position.
 * @throws BlobError when the group's own arrays do not fit together
 */
export function encodeGroup(group: Group): Uint8Array {
  const { promptIds, rollouts, ...rest } = group
  const encoded = packr.pack({
    version: BLOB_VERSION,
    ...rest,
    columns: unlessMisfit(() => columnsOf(promptIds, rollouts)),
  })
  if (encoded.length > MAX_BLOB_BYTES)
    throw new BlobError(
      `group ${group.index} of window ${group.window} is ${encoded.length} bytes, more than the ${MAX_BLOB_BYTES} a blob may have`,
    )
  return encoded
}

/**
 * The group that was staged. Every field and length is checked before anything of its size is allocated: hostile bytes cost at
 * most a few times their own size. What the values mean (ids below the vocabulary, sketches in range) is for the gate to judge.
 * @throws BlobError with one sentence naming what is wrong
 */
export function decodeGroup(encoded: Uint8Array): Group {
  if (encoded.length > MAX_BLOB_BYTES)
    throw new BlobError(`staged group is ${encoded.length} bytes, more than the ${MAX_BLOB_BYTES} a blob may have`)
  const wrong = measurePlainMsgpack(encoded)
  if (wrong) throw new BlobError(`staged group is not plain msgpack: ${wrong}`)
  let value: unknown
  try {
    value = packr.unpack(encoded)
  } catch (cause) {
    throw new BlobError('staged group is not plain msgpack', { cause })
  }
  const parsed = layout.safeParse(value)
  if (!parsed.success) {
    const first = parsed.error.issues[0]
    throw new BlobError(
      `staged group does not have the layout ${BLOB_VERSION}: ${first?.path.join('.') || 'value'}: ${first?.message ?? 'wrong'}`,
    )
  }
  const { version: _version, columns, ...rest } = parsed.data
  return { ...rest, ...unlessMisfit(() => groupOf(columns)) }
}

/** SHA-256 of the bytes, lower-case hex: the name under which a blob is announced and by which it is checked. */
export function digestOf(encoded: Uint8Array): string {
  return createHash('sha256').update(encoded).digest('hex')
}

function unlessMisfit<T>(build: () => T): T {
  try {
    return build()
  } catch (error) {
    throw new BlobError(`staged group does not fit together: ${(error as Error).message}`)
  }
}
