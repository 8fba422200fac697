import { Bool, type DataType, Field, Float32, Float64, Int32, Int64, List, Schema, Struct, Utf8 } from 'apache-arrow'
import type { Profile } from '../../protocol/profile.js'

const optional = (name: string, type: DataType) => new Field(name, type, true)
const list = (name: string, of: DataType) => optional(name, new List(optional('element', of)))

/**
 * The columns of a window file, in file order: all OPTIONAL, lists as `list.element`
 * (one-covenant/grail grail/infrastructure/parquet_io.py:34-86, 54d6342; the fork's three extra rollout columns by profile).
 */
export function windowSchema(profile: Profile): Schema {
  const extra = new Set(profile.parquet.extraRolloutFields)
  const rollout = [
    ...(extra.has('trajectory') ? [optional('trajectory', new Utf8())] : []),
    optional('total_reward', new Float64()),
    optional('advantage', new Float64()),
    optional('success', new Bool()),
    list('token_logprobs', profile.parquet.logprobs === 'float32' ? new Float32() : new Float64()),
    optional('prompt_length', new Int32()),
    optional('completion_length', new Int32()),
    ...(extra.has('satisfied_clauses') ? [optional('satisfied_clauses', new Int32())] : []),
    ...(extra.has('assignment') ? [list('assignment', new Bool())] : []),
  ]
  return new Schema([
    optional('window_start', new Int64()),
    optional('block', new Int64()),
    optional('nonce', new Int64()),
    optional('block_hash', new Utf8()),
    optional('randomness', new Utf8()),
    optional('use_drand', new Bool()),
    optional('rollout_group', new Int64()),
    optional('rollout_index', new Int32()),
    optional('total_in_group', new Int32()),
    optional('checkpoint_window', new Int64()),
    optional(
      'commit',
      new Struct([
        list('tokens', new Int32()),
        optional('commitments', new Utf8()),
        optional('proof_version', new Utf8()),
        optional('model', new Struct([optional('name', new Utf8()), optional('layer_index', new Int32())])),
        optional('signature', new Utf8()),
        optional('beacon', new Utf8()),
        optional('rollout', new Struct(rollout)),
      ]),
    ),
    optional('timestamp', new Float64()),
    optional('challenge', new Utf8()),
    optional('hotkey', new Utf8()),
    optional('signature', new Utf8()),
  ])
}
