import { type PythonJson, parsePythonJson } from '../protocol/python-json.js'
import type { Cell } from '../window/parquet/cells.js'
import type { ReadRow } from '../window/parquet/read-row.js'
import type { Numbers } from '../window/parquet/row.js'
import { UnreadableFile } from '../window/parquet/unreadable.js'
import { sketchesOfJson } from './sketch-json.js'

/** A list column's value. */
export type Cells = Numbers | Cell[]

/** A row as the validator holds it after reading (one-covenant/grail grail/infrastructure/parquet_io.py:301, 54d6342): what the file lacks is null. */
export interface Inference {
  windowStart: Cell
  nonce: Cell
  blockHash: Cell
  rolloutGroup: Cell
  rolloutIndex: Cell
  totalInGroup: Cell
  checkpointWindow: Cell
  challenge: Cell
  hotkey: Cell
  signature: Cell
  commit: Commit
}

export interface Commit {
  tokens: Cells
  /** int32[positions] when they are plain sketches, else what their JSON says. */
  commitments: Int32Array | PythonJson | Uint8Array
  proofVersion: Cell
  modelName: Cell
  layerIndex: Cell
  signature: Cell
  beacon: PythonJson | Uint8Array
  rollout: {
    totalReward: Cell
    advantage: Cell
    success: Cell
    tokenLogprobs: Cells
    promptLength: Cell
    completionLength: Cell
  }
}

/**
 * Turns a row of the file into what the validator sees.
 * @throws UnreadableFile 'reader_exception' where the reference raises: a null struct or list, JSON that is none
 */
export function inferenceOf(row: ReadRow): Inference {
  const commit = row.commit === undefined ? {} : (row.commit ?? raised('a row has no commit'))
  const model = commit.model === undefined ? {} : (commit.model ?? raised('a commit has no model'))
  const rollout = commit.rollout === undefined ? {} : (commit.rollout ?? raised('a commit has no rollout'))
  const cell = (value: Cell | undefined): Cell => value ?? null
  return {
    windowStart: cell(row.window_start),
    nonce: cell(row.nonce),
    blockHash: cell(row.block_hash),
    rolloutGroup: cell(row.rollout_group),
    rolloutIndex: cell(row.rollout_index),
    totalInGroup: cell(row.total_in_group),
    checkpointWindow: cell(row.checkpoint_window),
    challenge: cell(row.challenge),
    hotkey: cell(row.hotkey),
    signature: cell(row.signature),
    commit: {
      tokens: listOf(commit.tokens, 'tokens'),
      commitments: commitmentsOf(commit.commitments),
      proofVersion: cell(commit.proof_version),
      modelName: cell(model.name),
      layerIndex: cell(model.layer_index),
      signature: cell(commit.signature),
      beacon: jsonOf(commit.beacon, '{}', 'beacon'),
      rollout: {
        totalReward: cell(rollout.total_reward),
        advantage: cell(rollout.advantage),
        success: cell(rollout.success),
        tokenLogprobs: listOf(rollout.token_logprobs, 'token_logprobs'),
        promptLength: cell(rollout.prompt_length),
        completionLength: cell(rollout.completion_length),
      },
    },
  }
}

/** The commit's `beacon.randomness`, '' when there is no such text. */
export function randomnessOf({ beacon }: Commit): string {
  const value = beacon instanceof Map ? beacon.get('randomness') : undefined
  return typeof value === 'string' ? value : ''
}

function listOf(value: Cells | null | undefined, name: string): Cells {
  if (value === undefined) return []
  return value ?? raised(`a row has no ${name}`)
}

function commitmentsOf(value: Cell | undefined): Commit['commitments'] {
  if (typeof value === 'string') {
    const sketches = sketchesOfJson(value)
    if (sketches) return sketches
  }
  return jsonOf(value, '[]', 'commitments')
}

/** Text is parsed; a null stays one, and bytes stay bytes: the schema refuses both. */
function jsonOf(value: Cell | undefined, absent: string, name: string): PythonJson | Uint8Array {
  if (value === null || value instanceof Uint8Array) return value
  if (value !== undefined && typeof value !== 'string') return value
  try {
    return parsePythonJson(value ?? absent)
  } catch (cause) {
    if (cause instanceof SyntaxError) raised(`a row's ${name} is no JSON (${cause.message})`)
    throw cause
  }
}

function raised(what: string): never {
  throw new UnreadableFile('reader_exception', what)
}
