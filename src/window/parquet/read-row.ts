import { type Cell, cellOf, definitionAt, listOf } from './cells.js'
import type { Slice } from './chunk-reader.js'
import type { ColumnFacts } from './columns.js'
import type { SchemaNode } from './read-footer.js'
import type { Numbers } from './row.js'

/** A struct of a row: null, or its fields; a field is absent when the file has no such column. */
export interface ReadModel {
  name?: Cell
  layer_index?: Cell
}
export interface ReadRollout {
  trajectory?: Cell
  total_reward?: Cell
  advantage?: Cell
  success?: Cell
  token_logprobs?: Numbers | Cell[] | null
  prompt_length?: Cell
  completion_length?: Cell
  satisfied_clauses?: Cell
  assignment?: Numbers | Cell[] | null
}
export interface ReadCommit {
  tokens?: Numbers | Cell[] | null
  commitments?: Cell
  proof_version?: Cell
  model?: ReadModel | null
  signature?: Cell
  beacon?: Cell
  rollout?: ReadRollout | null
}

/** One row as it lies in the file: null where it holds a null, absent where the file has no such column. */
export interface ReadRow {
  window_start?: Cell
  block?: Cell
  nonce?: Cell
  block_hash?: Cell
  randomness?: Cell
  use_drand?: Cell
  rollout_group?: Cell
  rollout_index?: Cell
  total_in_group?: Cell
  checkpoint_window?: Cell
  commit?: ReadCommit | null
  timestamp?: Cell
  challenge?: Cell
  hotkey?: Cell
  signature?: Cell
}

type Fields = Record<string, unknown>

/**
 * Puts the columns' slices of one row together. Where a struct is null, its columns say so by their definition level.
 * @param complete also give out structs none of whose known columns is in the file
 */
export function rowAssembly(
  columns: ColumnFacts[],
  structs: ReadonlyMap<string, SchemaNode>,
  complete: boolean,
): (slices: Slice[][]) => ReadRow {
  const plan = columns.map(column => {
    const names = column.path.split('.')
    const parents = names.slice(0, -1).map((name, i) => ({
      name,
      definition: structs.get(names.slice(0, i + 1).join('.'))?.definition ?? 0,
    }))
    return { column, parents, name: names.at(-1) as string }
  })
  const empty = complete ? [...structs.keys()].map(path => path.split('.')) : []
  return slices => {
    const row: Fields = {}
    plan.forEach(({ column, parents, name }, i) => {
      const parts = slices[i] as [Slice, ...Slice[]]
      let target: Fields = row
      for (const parent of parents) {
        if (target[parent.name] === undefined) {
          const level = definitionAt(parts[0], parts[0].from)
          target[parent.name] = level !== undefined && level < parent.definition ? null : {}
        }
        const struct = target[parent.name] as Fields | null
        if (!struct) return
        target = struct
      }
      target[name] = column.list ? listOf(column, parts) : cellOf(column, parts[0])
    })
    for (const names of empty) {
      let target: Fields | null = row
      for (const name of names) {
        if (!target) break
        target[name] ??= target[name] === null ? null : {}
        target = target[name] as Fields | null
      }
    }
    return row as ReadRow
  }
}
