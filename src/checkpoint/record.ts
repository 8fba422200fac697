import { z } from 'zod'
import type { Profile } from '../protocol/profile.js'
import { GENERATION_FIELDS, parseGenerationParams } from './generation-params.js'
import type { CheckpointMetadata, ThinkingMode } from './metadata.js'

const THINKING_MODES: readonly ThinkingMode[] = ['instructed', 'native']

/** Name of a checkpoint whose metadata carries none (one-covenant/grail grail/infrastructure/checkpoint_consumer.py:85-115, 54d6342). */
const UNNAMED = 'no_name'

/** A checkpoint's whole metadata.json: what is mined, and how its files are put together. */
export interface CheckpointRecord {
  metadata: CheckpointMetadata
  kind: 'FULL' | 'DELTA'
  /** Path relative to the checkpoint's folder → sha256, 64 hex digits. */
  manifest: ReadonlyMap<string, string>
  /** Checkpoint a DELTA builds on; undefined for FULL. */
  previousWindow: number | undefined
  /** Nearest FULL checkpoint below. */
  anchorWindow: number | undefined
}

/** The part of metadata.json that says how a checkpoint's files are put together, whatever is mined with it. */
export interface CheckpointFiles {
  window: number
  kind: CheckpointRecord['kind']
  manifest: CheckpointRecord['manifest']
  previousWindow: number | undefined
  anchorWindow: number | undefined
  /** Lower-case; '' when the metadata carries none. */
  weightsHash: string
}

/** The metadata is not what a checkpoint's publisher writes. `missing` names the fields the reference would name. */
export class CheckpointMetadataError extends Error {
  readonly missing: readonly string[]
  constructor(message: string, missing: readonly string[], options?: ErrorOptions) {
    super(message, options)
    this.name = 'CheckpointMetadataError'
    this.missing = missing
  }
}

const optionalWindow = z.int().nonnegative().nullish()

const shape = z.object({
  window: z.int().nonnegative(),
  file_manifest: z.record(z.string(), z.string().regex(/^[0-9a-fA-F]{64}$/)),
  model_name: z.string().nullish(),
  checkpoint_type: z.enum(['FULL', 'DELTA']).nullish(),
  prev_window: optionalWindow,
  anchor_window: optionalWindow,
  // Compared with what engines and we compute: lower-case hex.
  weights_hash: z.string().toLowerCase().nullish(),
  env_params: z.record(z.string(), z.unknown()).nullish(),
})

/**
 * Fields without which a window is skipped, as the reference lists them (checkpoint_consumer.py:117, 54d6342): missing or
 * empty `env_id`, `generation_params` or fields of it, and a missing, empty or unknown `thinking_mode`. Empty means usable.
 */
export function missingMetadata(metadata: unknown): string[] {
  const raw = isObject(metadata) ? metadata : {}
  const missing: string[] = []
  if (!raw.env_id) missing.push('env_id')
  const generation = raw.generation_params
  if (!isObject(generation) || Object.keys(generation).length === 0) missing.push('generation_params')
  else
    for (const name of GENERATION_FIELDS) if (generation[name] === undefined) missing.push(`generation_params.${name}`)
  const mode = raw.thinking_mode
  if (!mode) missing.push('thinking_mode')
  else if (!isThinkingMode(mode)) missing.push(`thinking_mode=${JSON.stringify(mode)}`)
  return missing
}

/**
 * Reads a checkpoint's metadata.json. Throws CheckpointMetadataError, which says every field that is missing or wrong, when
 * nothing may be mined with it: a field of `missingMetadata`, a bad sampling parameter, an environment this profile does
 * not know, or a shape no publisher writes.
 * @param json parsed metadata.json
 */
export function parseCheckpointRecord(json: unknown, profile: Profile): CheckpointRecord {
  const missing = missingMetadata(json)
  if (missing.length > 0)
    throw new CheckpointMetadataError(`the checkpoint's metadata lacks ${missing.join(', ')}`, missing)
  const data = shaped(json)
  const raw = json as { env_id: unknown; generation_params: unknown; thinking_mode: ThinkingMode }
  if (typeof raw.env_id !== 'string' || !profile.environmentIds.includes(raw.env_id))
    throw new CheckpointMetadataError(
      `the checkpoint asks for environment ${JSON.stringify(raw.env_id)}; validators of ${profile.id} know ${profile.environmentIds.join(', ')}`,
      [],
    )
  return {
    metadata: {
      window: data.window,
      modelName: data.model_name ?? UNNAMED,
      weightsHash: data.weights_hash ?? '',
      environment: raw.env_id,
      environmentParams: data.env_params ?? {},
      generation: generationOf(raw.generation_params, profile),
      thinkingMode: raw.thinking_mode,
    },
    kind: data.checkpoint_type ?? 'FULL',
    manifest: new Map(Object.entries(data.file_manifest)),
    previousWindow: data.prev_window ?? undefined,
    anchorWindow: data.anchor_window ?? undefined,
  }
}

/**
 * The part of metadata.json that is needed of a checkpoint another one builds on: such a one may be of an environment nobody
 * mines any more. Throws CheckpointMetadataError for a shape no publisher writes.
 * @param kind what it is where the metadata does not say: the folder it lies in
 */
export function parseCheckpointFiles(json: unknown, kind: CheckpointRecord['kind']): CheckpointFiles {
  const data = shaped(json)
  return {
    window: data.window,
    kind: data.checkpoint_type ?? kind,
    manifest: new Map(Object.entries(data.file_manifest)),
    previousWindow: data.prev_window ?? undefined,
    anchorWindow: data.anchor_window ?? undefined,
    weightsHash: data.weights_hash ?? '',
  }
}

/** The part of metadata.json that decides what is mined. Throws as `parseCheckpointRecord`. */
export function parseCheckpointMetadata(json: unknown, profile: Profile): CheckpointMetadata {
  return parseCheckpointRecord(json, profile).metadata
}

function shaped(json: unknown): z.infer<typeof shape> {
  const parsed = shape.safeParse(json)
  if (parsed.success) return parsed.data
  const faults = parsed.error.issues.map(issue => `${issue.path.join('.') || 'metadata'}: ${issue.message}`)
  throw new CheckpointMetadataError(`the checkpoint's metadata is malformed: ${faults.join('; ')}`, [])
}

function generationOf(raw: unknown, profile: Profile): CheckpointMetadata['generation'] {
  try {
    return parseGenerationParams(raw, profile)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new CheckpointMetadataError(`the checkpoint's metadata is unusable: ${cause.message}`, [], { cause })
  }
}

function isThinkingMode(value: unknown): value is ThinkingMode {
  return (THINKING_MODES as readonly unknown[]).includes(value)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
