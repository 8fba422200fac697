import { createHash } from 'node:crypto'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { sampleGroups } from '../../src/protocol/rollout-sampling.js'
import { judgeFile, type Verdict } from '../../src/validation/index.js'
import { surveyFile } from '../../src/validation/survey.js'
import { openWindowReader } from '../../src/window/parquet/reader.js'
import { bytesSource } from '../../src/window/parquet/source.js'
import { windowFileBytes } from '../../src/window/parquet/writer.js'
import { type Check, same } from './check.js'
import { groupRows, WINDOW, WINDOW_HASH, type Workshop, workshop } from './mutation-baseline.js'
import { type Draft, mutationOf } from './mutations.js'

/** The vector file's words for our verdicts. */
const VERDICTS = { accepted: 'accepted', failure: 'failure flag', ignored: 'ignored' } as const

/** Rows' own faults and group faults have no name in the validator's records. */
const NAMED_REASON = /^(file|hard|soft):/

/**
 * Rebuilds one mutation of a valid window, writes it with our writer and judges the file. The model is the rehearsal engine; which
 * positions are opened follows from a challenge that is fixed per case.
 */
export const mutationCheck: Check = async (file, index) => {
  const wanted = file.cases[index]
  const mutation = mutationOf(wanted.name)
  if (!mutation) return `what "${wanted.name}" means is not known to this build`
  const shop = await workshop()
  const draft: Draft = {
    shop,
    rows: await groupRows(shop, 0),
    header: {
      wallet: shop.hotkey.ss58,
      windowStart: WINDOW,
      windowLength: 30,
      timestamp: 1_775_000_001.5,
      rehearsal: true,
    },
    judge: { checkpoint: shop.metadata, engine: shop.engine },
  }
  await mutation(draft)
  const bytes = await windowFileBytes(draft.header, GRAIL_V5, draft.rows)
  const verdict = await judgeFile(bytesSource(bytes), {
    profile: GRAIL_V5,
    verify: shop.verify,
    hotkey: shop.hotkey.ss58,
    window: WINDOW,
    windowHash: WINDOW_HASH,
    model: shop.model,
    tokenizer: shop.tokenizer,
    environment: shop.environment,
    challengeRandomness: await challengeFor(bytes, draft, shop),
    ...draft.judge,
  })
  return same(asRecorded(verdict), {
    verdict: wanted.verdict,
    failure_reason: wanted.failure_reason,
    valid: wanted.valid,
    checked: wanted.checked,
    total: wanted.total,
    unique: wanted.unique,
    estimated_unique: wanted.estimated_unique,
    first_failed_checks: wanted.first_failed_checks,
  })
}

function asRecorded({ verdict, reason, counts, findings }: Verdict) {
  const pipeline = findings.filter(({ check }) => /_valid$/.test(check))
  const firstRow = pipeline[0]?.row
  return {
    verdict: VERDICTS[verdict],
    failure_reason: reason !== null && NAMED_REASON.test(reason) ? reason : null,
    valid: counts.valid,
    checked: counts.checked,
    // The validator does not count the rows of a file whose structure it refuses.
    total: reason?.startsWith('file:') ? 0 : counts.rows,
    unique: counts.unique,
    estimated_unique: counts.estimatedUnique,
    first_failed_checks: [...new Set(pipeline.filter(({ row }) => row === firstRow).map(({ check }) => check))],
  }
}

/** A challenge under which the wanted group is opened; the first one otherwise. */
async function challengeFor(bytes: Uint8Array, { mustOpen }: Draft, shop: Workshop): Promise<string> {
  const candidate = (i: number) => createHash('sha256').update(`challenge ${i}`).digest('hex')
  if (mustOpen === undefined) return candidate(0)
  const reader = await openWindowReader(bytesSource(bytes))
  const { signal } = new AbortController()
  const { digests } = await surveyFile(reader, { profile: GRAIL_V5, digests: true, signal })
  for (let i = 0; ; i++) {
    const opened = sampleGroups(digests, reader.rows, shop.hotkey.ss58, candidate(i), GRAIL_V5)
    if (opened === 'all' || opened.includes(String(mustOpen))) return candidate(i)
  }
}
