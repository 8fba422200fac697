import type { FileFacts, SchemaNode } from './read-footer.js'
import { UnreadableFile } from './unreadable.js'

/** What Python gets from a column. */
export type ColumnKind = 'int' | 'float' | 'bool' | 'text' | 'bytes'

export interface ColumnFacts {
  /** Path of the reference's schema, e.g. 'commit.rollout.advantage'. */
  path: string
  kind: ColumnKind
  leaf: SchemaNode
  /** Unsigned integers need another reading of the same bits. */
  unsigned: boolean
  /** For lists: from which definition level on the list is there, and from which on it has an entry. */
  list: { present: number; filled: number } | undefined
}

const SCALARS = [
  'window_start',
  'block',
  'nonce',
  'block_hash',
  'randomness',
  'use_drand',
  'rollout_group',
  'rollout_index',
  'total_in_group',
  'checkpoint_window',
  'commit.commitments',
  'commit.proof_version',
  'commit.model.name',
  'commit.model.layer_index',
  'commit.signature',
  'commit.beacon',
  'commit.rollout.trajectory',
  'commit.rollout.total_reward',
  'commit.rollout.advantage',
  'commit.rollout.success',
  'commit.rollout.prompt_length',
  'commit.rollout.completion_length',
  'commit.rollout.satisfied_clauses',
  'timestamp',
  'challenge',
  'hotkey',
  'signature',
]
const LISTS = ['commit.tokens', 'commit.rollout.token_logprobs', 'commit.rollout.assignment']
/** Structs of a row, outermost first, with the levels from which on they are there. */
export const STRUCTS = ['commit', 'commit.model', 'commit.rollout'] as const

/** Converted and logical types of parquet.thrift that matter here. */
const CONVERTED = { UTF8: 0, LIST: 3, ENUM: 4, UINT_8: 11, UINT_64: 14, INT_8: 15, INT_64: 18, JSON: 19 }
const LOGICAL = { STRING: 1, LIST: 3, ENUM: 4, INTEGER: 10, JSON: 12 }

/**
 * Finds the columns that the reference's reader asks for, whatever their order and neighbours; others are not read.
 * @throws UnreadableFile 'beyond_limits' when one of them has a shape or type nobody writes
 */
export function columnsOf(facts: FileFacts): { columns: ColumnFacts[]; structs: Map<string, SchemaNode> } {
  const columns: ColumnFacts[] = []
  for (const path of SCALARS) {
    const node = nodeAt(facts.root, path)
    if (!node) continue
    if (node.column < 0 || node.repetitionLevel > 0) throw strange(path, 'is not a plain value')
    columns.push({ path, kind: kindOf(node, path), leaf: node, unsigned: isUnsigned(node), list: undefined })
  }
  for (const path of LISTS) {
    const node = nodeAt(facts.root, path)
    if (!node) continue
    const list = listOf(node)
    if (!list) throw strange(path, 'is not a list of plain values')
    const { leaf, filled } = list
    columns.push({
      path,
      kind: kindOf(leaf, path),
      leaf,
      unsigned: isUnsigned(leaf),
      list: { present: node.repetition === 'REPEATED' ? 0 : node.definition, filled },
    })
  }
  const structs = new Map<string, SchemaNode>()
  for (const path of STRUCTS) {
    const node = nodeAt(facts.root, path)
    if (!node) continue
    if (node.column >= 0 || node.repetitionLevel > 0) throw strange(path, 'is not a struct')
    structs.set(path, node)
  }
  return { columns, structs }
}

function nodeAt(root: SchemaNode, path: string): SchemaNode | undefined {
  let node: SchemaNode | undefined = root
  for (const name of path.split('.')) node = node?.children.find(child => child.name === name)
  return node
}

/** The leaf of a three-level list (`list.element`, `list.item`, …) or of an old two-level one. */
function listOf(node: SchemaNode): { leaf: SchemaNode; filled: number } | undefined {
  const marked = node.converted === CONVERTED.LIST || node.logical === LOGICAL.LIST
  const repeated =
    node.repetition === 'REPEATED' ? node : marked && node.children.length === 1 ? node.children[0] : undefined
  if (repeated?.repetition !== 'REPEATED') return undefined
  const leaf = repeated.column >= 0 ? repeated : repeated.children.length === 1 ? repeated.children[0] : undefined
  if (!leaf || leaf.column < 0 || leaf.repetitionLevel !== 1) return undefined
  return { leaf, filled: repeated.definition }
}

function kindOf(leaf: SchemaNode, path: string): ColumnKind {
  const { physical, converted, logical } = leaf
  const plain = converted === undefined && logical === undefined
  const integer =
    logical === LOGICAL.INTEGER ||
    (converted !== undefined && converted >= CONVERTED.UINT_8 && converted <= CONVERTED.INT_64)
  if (physical === 'BOOLEAN') return 'bool'
  if ((physical === 'INT32' || physical === 'INT64') && (plain || integer)) return 'int'
  if (physical === 'FLOAT' || physical === 'DOUBLE') return 'float'
  if (physical === 'BYTE_ARRAY') {
    const isText =
      converted === CONVERTED.UTF8 ||
      converted === CONVERTED.ENUM ||
      converted === CONVERTED.JSON ||
      logical === LOGICAL.STRING ||
      logical === LOGICAL.ENUM ||
      logical === LOGICAL.JSON
    if (isText) return 'text'
    if (plain) return 'bytes'
  }
  throw strange(path, `has type ${physical} with annotation ${logical ?? converted}`)
}

function isUnsigned({ converted }: SchemaNode): boolean {
  return converted !== undefined && converted >= CONVERTED.UINT_8 && converted <= CONVERTED.UINT_64
}

function strange(path: string, what: string): UnreadableFile {
  return new UnreadableFile('beyond_limits', `column ${path} ${what}: such a file is not read here`)
}
