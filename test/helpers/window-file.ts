import { createHash } from 'node:crypto'
import { challengeText, commitDigest, commitmentsHash, nonceOf } from '../../src/protocol/binding.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { publicKeyOf, ready, sr25519Verify } from '../../src/wallet/sr25519.js'
import { WINDOW_BLOCKS } from '../../src/window/block.js'
import type { Group } from '../../src/window/group.js'
import type { ReadRow } from '../../src/window/parquet/read-row.js'
import { openWindowReader } from '../../src/window/parquet/reader.js'
import { bytesSource } from '../../src/window/parquet/source.js'

/** What a window's file must be, from everything but the file. */
export interface ExpectedFile {
  hotkey: string
  window: number
  windowHash: string
  checkpointWindow: number
  sha256: string
  bytes: number
  /** In file order. */
  indices: readonly number[]
  /** The staged group an index was acknowledged with, where it is still kept. */
  group(index: number): Promise<Group | undefined>
}

/** Signatures of one group in so many are verified, and those of the first and the last one: 0.2 ms each. */
const SIGNED_SAMPLE = 8

/** Reads a window file with the project's own reader and tells everything that is not as expected; nothing when it is. */
export async function faultsOfFile(file: Uint8Array, expected: ExpectedFile): Promise<string[]> {
  await ready()
  const faults: string[] = []
  const same = (what: string, actual: unknown, wanted: unknown) => {
    if (actual !== wanted) faults.push(`${what} is ${String(actual)} instead of ${String(wanted)}`)
  }
  same('size', file.length, expected.bytes)
  same('sha256', createHash('sha256').update(file).digest('hex'), expected.sha256)
  const reader = await openWindowReader(bytesSource(file))
  const header = reader.header()
  same('wallet', header.wallet, expected.hotkey)
  same('window_start', header.windowStart, expected.window)
  same('window_length', header.windowLength, WINDOW_BLOCKS)
  same('inference_count', header.inferenceCount, expected.indices.length * GRAIL_V5.groupSize)
  same('the mark of a rehearsal', header.rehearsal, true)

  const rows: ReadRow[] = []
  for await (const batch of reader.batches()) rows.push(...batch)
  same('number of rows', rows.length, expected.indices.length * GRAIL_V5.groupSize)
  if (faults.length > 0) return faults
  const key = publicKeyOf(expected.hotkey)
  for (const [place, index] of expected.indices.entries()) {
    const signed = place % SIGNED_SAMPLE === 0 || place === expected.indices.length - 1
    const group = await expected.group(index)
    for (let i = 0; i < GRAIL_V5.groupSize; i++) {
      const row = rows[place * GRAIL_V5.groupSize + i] as ReadRow
      const nonce = nonceOf(GRAIL_V5, index, i)
      const here = (what: string) => `${what} of group ${index}, row ${i},`
      same(here('nonce'), row.nonce, nonce)
      same(here('rollout_group'), row.rollout_group, index)
      same(here('rollout_index'), row.rollout_index, i)
      same(here('window_start'), row.window_start, expected.window)
      same(here('block_hash'), row.block_hash, expected.windowHash)
      same(here('checkpoint_window'), row.checkpoint_window, expected.checkpointWindow)
      same(here('hotkey'), row.hotkey, expected.hotkey)
      same(here('challenge'), row.challenge, challengeText(expected.windowHash, nonce))
      if (group) {
        // The time of making tells the first staged group of an index from a second one with the same tokens.
        same(here('timestamp'), row.timestamp, group.timestamp)
        same(
          here('tokens'),
          String(row.commit?.tokens),
          [...group.promptIds, ...group.rollouts[i]!.completionIds].join(),
        )
      }
      if (signed && !signaturesHold(row, key)) faults.push(`${here('a signature')} does not verify`)
    }
  }
  return faults
}

function signaturesHold(row: ReadRow, key: Uint8Array): boolean {
  const { commit } = row
  const model = commit?.model
  if (typeof commit?.commitments !== 'string' || typeof commit.beacon !== 'string' || !commit.tokens || !model)
    return false
  const sketches = (JSON.parse(commit.commitments) as { sketch: number }[]).map(({ sketch }) => sketch)
  const digest = commitDigest({
    tokens: Int32Array.from(commit.tokens as Int32Array),
    randomness: (JSON.parse(commit.beacon) as { randomness: string }).randomness,
    modelName: String(model.name),
    layerIndex: Number(model.layer_index),
    commitmentsHash: commitmentsHash(Int32Array.from(sketches)),
  })
  const hex = (cell: unknown) => Buffer.from(String(cell), 'hex')
  return (
    sr25519Verify(digest, hex(commit.signature), key) &&
    sr25519Verify(Buffer.from(String(row.challenge)), hex(row.signature), key)
  )
}
