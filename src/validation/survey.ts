import { createHash, type Hash } from 'node:crypto'
import {
  footerFault,
  type StructureExpectation,
  type StructureFault,
  structureCheck,
} from '../protocol/file-structure.js'
import type { Profile } from '../protocol/profile.js'
import type { Cell } from '../window/parquet/cells.js'
import type { ReadHeader, WindowReader } from '../window/parquet/reader.js'
import { UnreadableFile } from '../window/parquet/unreadable.js'
import { commitDigestOf } from './commit-json.js'
import { Diagnosis } from './diagnosis.js'
import { type Inference, inferenceOf } from './inference.js'
import type { Finding } from './verdict.js'

/** What one pass over all rows shows. */
export interface Survey {
  header: ReadHeader
  /** Where the file belongs: as given, or as the file says of itself. */
  expected: StructureExpectation
  /** The first whole-file fault, as the validator meets them. */
  fault: Finding | undefined
  groups: ReadonlyMap<string, { rows: number }>
  /** Group → digest; only where groups will be chosen by it. */
  digests: Map<string, string>
  notes: string[]
}

export interface SurveyOptions {
  profile: Profile
  hotkey?: string | undefined
  window?: number | undefined
  windowHash?: string | undefined
  /** Compute the groups' digests. */
  digests: boolean
  signal: AbortSignal
}

/**
 * Reads every row once, as the validator does before it judges any: what cannot be read, whole-file faults, digests, diagnosis.
 * @throws UnreadableFile
 */
export async function surveyFile(reader: WindowReader, options: SurveyOptions): Promise<Survey> {
  const { profile } = options
  const diagnosis = new Diagnosis(profile)
  const hashes = new Map<string, Hash>()
  let nullGroups = 0
  let raised: UnreadableFile | undefined
  let expected: StructureExpectation | undefined
  let check: ReturnType<typeof structureCheck> | undefined
  let fault: Finding | undefined
  let row = 0
  for await (const batch of reader.batches()) {
    options.signal.throwIfAborted()
    for (const read of batch) {
      if (read.rollout_group === null) nullGroups++
      let inference: Inference
      try {
        inference = inferenceOf(read)
      } catch (error) {
        if (!(error instanceof UnreadableFile)) throw error
        raised ??= new UnreadableFile(error.kind, `row ${row}: ${error.message}`, { cause: error })
        row++
        continue
      }
      expected ??= expectation(reader, options, inference)
      check ??= structureCheck(expected, profile)
      const found = check.row({
        rolloutGroup: numberOf(inference.rolloutGroup),
        windowStart: wholeOf(inference.windowStart),
        blockHash: typeof inference.blockHash === 'string' ? inference.blockHash : null,
        nonce: numberOf(inference.nonce) as number | bigint | null,
      })
      if (found) fault ??= faultOfRow(found, row, inference, expected)
      diagnosis.row(row, inference)
      if (options.digests && !raised) digest(hashes, inference, reader)
      row++
    }
  }
  if (nullGroups > 0) throw new UnreadableFile('corrupt_parquet', `${nullGroups} of ${row} rows have no rollout_group`)
  const header = reader.header()
  if (raised) throw raised
  expected ??= expectation(reader, options, undefined)
  const inFooter = footerFault({ wallet: header.wallet, windowStart: header.windowStart }, expected)
  return {
    header,
    expected,
    fault: inFooter ? faultOfFooter(inFooter, header, expected) : (fault ?? faultOfEnd(check?.end(), profile)),
    groups: diagnosis.groups,
    digests: new Map([...hashes].map(([group, hash]) => [group, hash.digest('hex')])),
    notes: diagnosis.notes(header),
  }
}

/** What was not given is taken from the file itself: then it only has to agree with itself. */
function expectation(reader: WindowReader, options: SurveyOptions, first: Inference | undefined): StructureExpectation {
  const header = () => {
    try {
      return reader.header()
    } catch {
      return undefined
    }
  }
  return {
    hotkey: options.hotkey ?? header()?.wallet ?? '',
    window: options.window ?? header()?.windowStart ?? 0,
    windowHash: options.windowHash ?? (typeof first?.blockHash === 'string' ? first.blockHash : ''),
  }
}

function digest(hashes: Map<string, Hash>, inference: Inference, reader: WindowReader): void {
  const group = String(inference.rolloutGroup)
  const hash = hashes.get(group) ?? createHash('sha256')
  hashes.set(group, hash)
  try {
    hash.update(commitDigestOf(inference.commit, reader.columns))
  } catch (error) {
    // What has no JSON cannot be chosen by it; the schema check will refuse the row.
    if (!(error instanceof TypeError)) throw error
  }
}

function numberOf(value: Cell): number | bigint | string | null {
  if (value === null || typeof value === 'number' || typeof value === 'bigint') return value
  return typeof value === 'string' ? value : String(value)
}

function wholeOf(value: Cell): number | bigint | null {
  return typeof value === 'number' || typeof value === 'bigint' ? value : null
}

function faultOfFooter(check: StructureFault, header: ReadHeader, expected: StructureExpectation): Finding {
  return check === 'wallet_mismatch'
    ? { check, severity: 'file', expected: expected.hotkey, actual: header.wallet === '' ? 'no wallet' : header.wallet }
    : { check, severity: 'file', expected: String(expected.window), actual: String(header.windowStart) }
}

function faultOfRow(check: StructureFault, row: number, inference: Inference, expected: StructureExpectation): Finding {
  const place = {
    check,
    severity: 'file' as const,
    row,
    nonce: String(inference.nonce),
    group: String(inference.rolloutGroup),
  }
  switch (check) {
    case 'window_start_mismatch':
      return { ...place, expected: String(expected.window), actual: String(inference.windowStart) }
    case 'block_hash_mismatch':
      return { ...place, expected: expected.windowHash, actual: String(inference.blockHash) }
    case 'duplicate_nonce':
      return { ...place, expected: 'every nonce once', actual: `nonce ${String(inference.nonce)} again` }
    default:
      return { ...place, expected: 'a rollout group', actual: 'null' }
  }
}

function faultOfEnd(
  end: { fault: StructureFault; group: string; rows: number } | undefined,
  profile: Profile,
): Finding | undefined {
  return (
    end && {
      check: end.fault,
      severity: 'file',
      group: end.group,
      expected: `${profile.groupSize} rows per group`,
      actual: `${end.rows} rows`,
    }
  )
}
