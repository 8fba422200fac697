import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { type JudgeOptions, judgeFile, type Verdict } from '../../src/validation/index.js'
import type { FileHeader } from '../../src/window/parquet/row.js'
import { bytesSource } from '../../src/window/parquet/source.js'
import { windowFileBytes } from '../../src/window/parquet/writer.js'
import { type PlainRow, WINDOW, WINDOW_HASH, type Workshop } from '../../supervisor/vectors/mutation-baseline.js'

/** Everything a validator has, for `judgeFile`. */
export function judgeOptions(shop: Workshop, more: Partial<JudgeOptions> = {}): JudgeOptions {
  return {
    profile: GRAIL_V5,
    verify: shop.verify,
    hotkey: shop.hotkey.ss58,
    window: WINDOW,
    windowHash: WINDOW_HASH,
    checkpoint: shop.metadata,
    model: shop.model,
    tokenizer: shop.tokenizer,
    environment: shop.environment,
    engine: shop.engine,
    ...more,
  }
}

/** Writes the rows into a file and judges it. */
export async function judgeRows(
  shop: Workshop,
  rows: PlainRow[],
  more: Partial<JudgeOptions> = {},
  header: Partial<FileHeader> = {},
): Promise<Verdict> {
  const bytes = await windowFileBytes(
    { wallet: shop.hotkey.ss58, windowStart: WINDOW, windowLength: 30, timestamp: 1, rehearsal: true, ...header },
    GRAIL_V5,
    rows,
  )
  return judgeFile(bytesSource(bytes), judgeOptions(shop, more))
}
