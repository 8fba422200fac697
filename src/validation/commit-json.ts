import { createHash } from 'node:crypto'
import { canonicalJson } from '../protocol/canonical-json.js'
import type { PythonJson } from '../protocol/python-json.js'
import { floatRepr } from '../protocol/python-number.js'
import type { Cell } from '../window/parquet/cells.js'
import type { ColumnKind } from '../window/parquet/columns.js'
import type { Cells, Commit } from './inference.js'

/** Kind of every column of the file, by path. */
export type Kinds = ReadonlyMap<string, ColumnKind>

/**
 * The commit as a plain object, as the schema check reads it: a list of numbers may stay one, integers of float columns are floats
 * all the same, commitments only need to be a list of dictionaries.
 */
export function plainCommit(commit: Commit): Record<string, unknown> {
  const { rollout } = commit
  return {
    tokens: Array.from(commit.tokens as ArrayLike<Cell>),
    commitments:
      commit.commitments instanceof Int32Array
        ? Array.from(commit.commitments, sketch => ({ sketch }))
        : commit.commitments,
    proof_version: commit.proofVersion,
    model: { name: commit.modelName, layer_index: commit.layerIndex },
    signature: commit.signature,
    beacon: commit.beacon instanceof Map ? Object.fromEntries(commit.beacon) : commit.beacon,
    rollout: {
      total_reward: rollout.totalReward,
      advantage: rollout.advantage,
      success: rollout.success,
      token_logprobs: Array.from(rollout.tokenLogprobs as ArrayLike<Cell>),
      prompt_length: rollout.promptLength,
      completion_length: rollout.completionLength,
    },
  }
}

/**
 * sha256 of the commit's canonical JSON (sorted keys, compact, ASCII), the part of a group's digest that one row gives
 * (one-covenant/grail grail/validation/miner_validator.py:569-635, 54d6342). Plain commits are written as text at once.
 */
export function commitDigestOf(commit: Commit, kinds: Kinds): Buffer {
  return createHash('sha256').update(canonicalCommit(commit, kinds)).digest()
}

/** Keys in the order json.dumps(sort_keys=True) gives them. */
export function canonicalCommit(commit: Commit, kinds: Kinds): string {
  const { rollout } = commit
  const cell = (value: Cell, path: string) => canonicalJson(pythonOf(value, kinds.get(path)))
  return [
    `{"beacon":${jsonText(commit.beacon)}`,
    `"commitments":${commitmentsText(commit.commitments)}`,
    `"model":{"layer_index":${cell(commit.layerIndex, 'commit.model.layer_index')}`,
    `"name":${cell(commit.modelName, 'commit.model.name')}}`,
    `"proof_version":${cell(commit.proofVersion, 'commit.proof_version')}`,
    `"rollout":{"advantage":${cell(rollout.advantage, 'commit.rollout.advantage')}`,
    `"completion_length":${cell(rollout.completionLength, 'commit.rollout.completion_length')}`,
    `"prompt_length":${cell(rollout.promptLength, 'commit.rollout.prompt_length')}`,
    `"success":${cell(rollout.success, 'commit.rollout.success')}`,
    `"token_logprobs":${listText(rollout.tokenLogprobs, kinds.get('commit.rollout.token_logprobs'))}`,
    `"total_reward":${cell(rollout.totalReward, 'commit.rollout.total_reward')}}`,
    `"signature":${cell(commit.signature, 'commit.signature')}`,
    `"tokens":${listText(commit.tokens, kinds.get('commit.tokens'))}}`,
  ].join(',')
}

function jsonText(value: PythonJson | Uint8Array): string {
  if (value instanceof Uint8Array) throw new TypeError('bytes have no JSON')
  return canonicalJson(value)
}

function commitmentsText(commitments: Commit['commitments']): string {
  if (!(commitments instanceof Int32Array)) return jsonText(commitments)
  return commitments.length === 0 ? '[]' : `[{"sketch":${commitments.join('},{"sketch":')}}]`
}

function listText(list: Cells, kind: ColumnKind | undefined): string {
  if (list instanceof Int32Array) return `[${list.join(',')}]`
  if (list instanceof Float32Array || list instanceof Float64Array) return `[${Array.from(list, floatText).join(',')}]`
  return `[${Array.from(list as ArrayLike<Cell>, value => canonicalJson(pythonOf(value, kind))).join(',')}]`
}

/** Python's repr of a float, short cut for what JavaScript prints the same way. */
function floatText(value: number): string {
  const magnitude = Math.abs(value)
  if (magnitude >= 1e-4 && magnitude < 1e16) return Number.isInteger(value) ? `${value}.0` : String(value)
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  return Number.isFinite(value) ? floatRepr(value) : canonicalJson(value)
}

/** A cell as Python holds it: an integer column gives integers, a float column floats. */
function pythonOf(value: Cell, kind: ColumnKind | undefined): PythonJson {
  if (value instanceof Uint8Array) throw new TypeError('bytes have no JSON')
  if (typeof value === 'number' && kind === 'int') return BigInt(value)
  return value
}
