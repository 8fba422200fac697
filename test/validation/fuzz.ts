import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { CannotJudge, judgeFile } from '../../src/validation/index.js'
import { bytesSource } from '../../src/window/parquet/source.js'
import { windowFileBytes } from '../../src/window/parquet/writer.js'
import { groupRows, WINDOW, workshop } from '../../supervisor/vectors/mutation-baseline.js'
import { seededRandom } from '../helpers/group.js'
import { sharedAbsent, sharedFolder } from '../helpers/shared.js'

const ROUNDS = 400
/** More than any file here can need, bytes: a damaged length that is believed would cost far more. */
const MOST_MEMORY = 200 * 1024 * 1024

/** One of six ways to spoil a file; the same for the same random numbers. */
function spoiled(good: Uint8Array, random: () => number): Uint8Array {
  const below = (limit: number) => Math.floor(random() * limit)
  const footer = new DataView(good.buffer, good.byteOffset).getUint32(good.length - 8, true)
  const bytes = good.slice()
  switch (below(6)) {
    case 0:
      return bytes.subarray(0, below(bytes.length))
    case 1:
      bytes.copyWithin(below(bytes.length), below(bytes.length), below(bytes.length))
      return bytes
    case 2:
      for (let i = 0; i < 4; i++) bytes[below(bytes.length)] = below(256)
      return bytes
    case 3:
      // Numbers of the footer turned into large ones.
      for (let i = 0; i < 3; i++) bytes.fill(0xff, bytes.length - 8 - below(footer), bytes.length - 8)
      return bytes
    default:
      for (let i = 0; i <= below(3); i++) bytes[bytes.length - 9 - below(footer)] = below(256)
      return bytes
  }
}

async function survive(t: Test, name: string, good: Uint8Array): Promise<void> {
  const { verify } = await workshop()
  const random = seededRandom(20_260_101)
  const outcomes = new Map<string, number>()
  let most = 0
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = spoiled(good, random)
    let outcome: string
    try {
      outcome = (await judgeFile(bytesSource(bytes), { profile: GRAIL_V5, verify })).verdict
    } catch (error) {
      if (!(error instanceof CannotJudge)) t.fail(`round ${round}: ${error instanceof Error ? error.stack : error}`)
      outcome = 'cannot judge'
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    most = Math.max(most, process.memoryUsage().rss)
  }
  t.ok((outcomes.get('failure') ?? 0) > ROUNDS / 10, `${name}: ${JSON.stringify([...outcomes])}`)
  t.ok((outcomes.get('ignored') ?? 0) > ROUNDS / 20)
  t.ok(most < before + MOST_MEMORY, `${Math.round(most / 2 ** 20)} MiB at most`)
}

await workshop()
const before = process.memoryUsage().rss

t.test('a spoiled file of ours gets a verdict or one sentence, in bounded memory', async t => {
  const shop = await workshop()
  const rows = [...(await groupRows(shop, 0)), ...(await groupRows(shop, 4))]
  const header = { wallet: shop.hotkey.ss58, windowStart: WINDOW, windowLength: 30, timestamp: 1, rehearsal: false }
  await survive(t, 'ours', await windowFileBytes(header, GRAIL_V5, rows))
})

t.test('so does a spoiled file of the reference', { skip: sharedAbsent }, async t => {
  const sample = readFileSync(join(sharedFolder, 'spec', 'vectors', 'head_window_1group.parquet'))
  await survive(t, 'reference', new Uint8Array(sample))
})
