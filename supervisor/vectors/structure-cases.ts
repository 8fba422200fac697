import { fileStructureFault, type StructureRow } from '../../src/protocol/file-structure.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'

const HOTKEY = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'
const WINDOW = 7_654_320
const WINDOW_HASH = `0x${'89a1'.repeat(16)}`

interface StructureFile {
  wallet: string | null
  windowStart: number | null
  rows: StructureRow[]
}

/** One group of rows as the reference miner numbers them. */
function group(number: number, size = GRAIL_V5.groupSize): StructureRow[] {
  return Array.from({ length: size }, (_, index) => ({
    rolloutGroup: number,
    windowStart: WINDOW,
    blockHash: WINDOW_HASH,
    nonce: number * GRAIL_V5.nonceStride + index,
  }))
}

function file(rows: StructureRow[]): StructureFile {
  return { wallet: HOTKEY, windowStart: WINDOW, rows }
}

/** Two good groups, one row changed. */
function changedRow(change: Partial<StructureRow>): StructureFile {
  const rows = [...group(0), ...group(1)]
  rows[5] = { ...rows[5]!, ...change }
  return file(rows)
}

const CASES: readonly (readonly [title: RegExp, build: (match: RegExpExecArray) => StructureFile])[] = [
  [/empty file|^empty|no rows|(^|\D)0 rows/, () => file([])],
  [/upper.?case/, () => changedRow({ blockHash: WINDOW_HASH.toUpperCase().replace('0X', '0x') })],
  [/hash.*(without|no) 0x|(without|no) 0x.*hash/, () => changedRow({ blockHash: WINDOW_HASH.slice(2) })],
  [/null.*(block_?hash|hash)|hash.*null/, () => changedRow({ blockHash: null })],
  [/row.*(block )?hash|(block )?hash.*mismatch/, () => changedRow({ blockHash: `0x${'00'.repeat(32)}` })],
  [/null.*window|window.*null|(file|footer|header).*window.*missing/, () => ({ ...file(group(0)), windowStart: null })],
  [/row.*window/, () => changedRow({ windowStart: WINDOW + 30 })],
  [/wallet.*empty|empty wallet/, () => ({ ...file(group(0)), wallet: '' })],
  [/wallet.*(missing|null|none)|(missing|null|no) wallet/, () => ({ ...file(group(0)), wallet: null })],
  [/wallet|hotkey/, () => ({ ...file(group(0)), wallet: '5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty' })],
  [/window/, () => ({ ...file(group(0)), windowStart: WINDOW + 30 })],
  [/null.*group|group.*null/, () => changedRow({ rolloutGroup: null })],
  [/^(\d+) rows/, match => file(group(0, Number(match[1])))],
  [/group of (\d+)/, match => file([...group(0, Number(match[1])), ...shifted(group(1), Number(match[1]))])],
  [/all nonces null/, () => file([...group(0), ...group(1)].map(row => ({ ...row, nonce: null })))],
  [/two nonces null/, () => withNonces([null, null])],
  [/nonces? null|null nonce/, () => withNonces([null])],
  [/(duplicate|repeated|same|reused) nonce|nonce.*(duplicate|repeat|twice|reuse)/, () => withNonces([7, 7])],
  [/negative nonce/, () => withNonces([-1])],
  [/negative/, () => file([...group(0), ...group(-3)])],
  [/gap|hole|missing group|skip/, () => file([...group(0), ...group(2), ...group(9)])],
  [/interleave|shuffle|reverse|order/, () => file([...group(0), ...group(1)].sort(byIndexInGroup))],
  [/text|string/, () => file(group(0).map(row => ({ ...row, rolloutGroup: '0' })))],
  [/(one|single) (good )?group/, () => file(group(0))],
  [/good|valid|baseline|clean/, () => file([...group(0), ...group(1)])],
]

/** The file a case's name describes; undefined when nobody has written down what the name means. */
export function structureFileOf(name: string): StructureFile | undefined {
  for (const [title, build] of CASES) {
    const match = title.exec(name.toLowerCase())
    if (match) return build(match)
  }
  return undefined
}

/** The reason the file is refused for, null for none. */
export function structureVerdict(structureFile: StructureFile): string | null {
  return (
    fileStructureFault(structureFile, { hotkey: HOTKEY, window: WINDOW, windowHash: WINDOW_HASH }, GRAIL_V5) ?? null
  )
}

/** Rows whose nonces start behind an odd-sized group before them, so that only the sizes are wrong. */
function shifted(rows: StructureRow[], rowsBefore: number): StructureRow[] {
  return rows.map((row, index) => ({ ...row, nonce: rowsBefore + index }))
}

/** Two good groups whose first rows have these nonces. */
function withNonces(nonces: (number | null)[]): StructureFile {
  const rows = [...group(0), ...group(1)]
  nonces.forEach((nonce, index) => {
    rows[index] = { ...rows[index]!, nonce }
  })
  return file(rows)
}

function byIndexInGroup(a: StructureRow, b: StructureRow): number {
  return (Number(a.nonce) % GRAIL_V5.nonceStride) - (Number(b.nonce) % GRAIL_V5.nonceStride)
}
