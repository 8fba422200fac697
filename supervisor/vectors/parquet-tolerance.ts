import { commitSchemaFaults } from '../../src/protocol/commit-schema.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { plainCommit } from '../../src/validation/commit-json.js'
import { inferenceOf } from '../../src/validation/inference.js'
import { surveyFile } from '../../src/validation/survey.js'
import type { ReadRow } from '../../src/window/parquet/read-row.js'
import { openWindowReader } from '../../src/window/parquet/reader.js'
import type { WindowRow } from '../../src/window/parquet/row.js'
import { bytesSource } from '../../src/window/parquet/source.js'
import { UnreadableFile } from '../../src/window/parquet/unreadable.js'
import { type Checks, same, type VectorFile } from './check.js'
import { sameRows } from './parquet-rows.js'
import { changed, plainVariant, variantBytes } from './parquet-variants.js'

// biome-ignore lint/suspicious/noExplicitAny: a case of a vector file
type Case = any

/** Files that another program wrote, or that are damaged: what the validator's reader still takes. */
export const toleranceChecks: Checks = {
  'parquet_reader_tolerance.json': async (file, index) => {
    const wanted: Case = file.cases[index]
    const { rows, keyValues } = toleranceBaseline(file)
    const variant = plainVariant(structuredClone(rows), keyValues)
    if (!changed(variant, wanted.name)) return `what "${wanted.name}" means is not known to this build`
    const outcome = await readLikeValidator(variantBytes(variant), rows as ReadRow[])
    if (wanted.outcome !== 'ok') {
      // Only a ParquetError is reported as a corrupt file; any other exception makes the file unfound.
      const kind = wanted.outcome === 'ParquetError' ? 'corrupt_parquet' : 'reader_exception'
      return same(outcome, { outcome: kind })
    }
    const { outcome: _outcome, name: _name, row0_schema_errors: errors = [], ...facts } = wanted
    const { schemaFaults = [], ...got } = outcome
    // The file names the first four.
    return same(got, { outcome: 'ok', ...facts }) ?? same(schemaFaults.slice(0, Math.max(4, errors.length)), errors)
  },
}

/** Sixteen rows as the reference writes them, with the header that the cases name. */
function toleranceBaseline(file: VectorFile): { rows: WindowRow[]; keyValues: [string, string][] } {
  const reference: Case = file.cases.find((one: Case) => one.outcome === 'ok' && one.wallet !== '') ?? {}
  const windowStart = Number(reference.window_start ?? 7_654_320)
  const wallet = String(reference.wallet ?? '')
  const length = 52
  const rows = Array.from({ length: GRAIL_V5.groupSize }, (_, i): WindowRow => {
    const number = (j: number) => (Math.imul(i * 977 + j + 1, 0x9e3779b1) >>> 0) % 150_000
    return {
      window_start: windowStart,
      block: windowStart + 5,
      nonce: i,
      block_hash: `0x${'89a1'.repeat(16)}`,
      randomness: '56cc'.repeat(16),
      use_drand: true,
      rollout_group: 0,
      rollout_index: i,
      total_in_group: GRAIL_V5.groupSize,
      checkpoint_window: windowStart - 60,
      commit: {
        tokens: Array.from({ length }, (_, j) => number(j)),
        commitments: `[${Array.from({ length }, (_, j) => `{"sketch": ${number(1_000 + j)}}`).join(', ')}]`,
        proof_version: 'v5',
        model: { name: 'async_trainer_snapshot', layer_index: -1 },
        signature: 'c4'.repeat(64),
        beacon: `{"randomness": "${'56cc'.repeat(16)}"}`,
        rollout: {
          total_reward: 0.2,
          advantage: 0,
          success: false,
          token_logprobs: Array.from({ length }, (_, j) => (j < 12 ? 0 : Math.fround(-number(j) / 100_000))),
          prompt_length: 12,
          completion_length: length - 12,
        },
      },
      timestamp: 1_775_000_000.25,
      challenge: `|0x${'89a1'.repeat(16)}|${i}`,
      hotkey: wallet,
      signature: '06'.repeat(64),
    }
  })
  const keyValues: [string, string][] = [
    ['wallet', wallet],
    ['window_start', String(windowStart)],
    ['window_length', '30'],
    ['inference_count', String(rows.length)],
    ['timestamp', '1775000001.5'],
  ]
  return { rows, keyValues }
}

/** What the validator's reader and then its schema make of a file. */
async function readLikeValidator(bytes: Uint8Array, baseline: ReadRow[]): Promise<Case> {
  try {
    const reader = await openWindowReader(bytesSource(bytes))
    const { header } = await surveyFile(reader, {
      profile: GRAIL_V5,
      digests: false,
      signal: new AbortController().signal,
    })
    const rows: ReadRow[] = []
    for await (const batch of reader.batches()) rows.push(...batch)
    const [first] = rows
    const faults = first ? commitSchemaFaults(plainCommit(inferenceOf(first).commit), GRAIL_V5) : []
    return {
      outcome: 'ok',
      rows: rows.length,
      wallet: header.wallet,
      window_start: header.windowStart,
      same_rows: sameRows(rows, baseline) === undefined,
      row0_schema_ok: faults.length === 0,
      schemaFaults: faults,
    }
  } catch (error) {
    if (error instanceof UnreadableFile) return { outcome: error.kind }
    throw error
  }
}
