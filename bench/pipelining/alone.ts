import type { GenerationParams } from '../../src/checkpoint/metadata.js'
import { askAt } from '../../src/engine/server/ask.js'
import type { ServerAddress } from '../../src/engine/server/http.js'
import { sglangDialect } from '../../src/engine/server/sglang-dialect.js'
import { keepFull, sampleGroup } from '../measure/groups-in-flight.js'

export interface Alone {
  generation: GenerationParams
  eosTokenId: number
  groupSize: number
  /** Tokens of a prompt: as many as the fleet's have. */
  promptTokens: number
  /** For so long groups are begun, ms. */
  ms: number
  /** Groups in flight, so many ms after the beginning. */
  limitAt(ms: number): number
}

/** Ids that are nobody's place in a story: what follows is its beginning (test/worker/story_checkpoint.py). */
const NEUTRAL = { first: 200, count: 50 }
const LONGEST_COMPLETION_MS = 60_000

/** Keeps a server full of groups and does nothing with them: what it can give without proofs, claims, staging. Resolves when the last group is done. */
export async function generateAlone(address: ServerAddress, of: Alone): Promise<void> {
  const signal = AbortSignal.timeout(Math.ceil(of.ms) + LONGEST_COMPLETION_MS)
  const ask = askAt(address, signal)
  const { version = '' } = await sglangDialect.served(ask)
  const beganMs = performance.now()
  const { generation, eosTokenId } = of
  await keepFull(
    of.ms,
    () => of.limitAt(performance.now() - beganMs),
    number => {
      const promptIds = Int32Array.from({ length: of.promptTokens }, (_, i) => {
        const digit = Math.floor(number / NEUTRAL.count ** i)
        return NEUTRAL.first + (digit % NEUTRAL.count)
      })
      return sampleGroup(sglangDialect, ask, of.groupSize, { promptIds, generation, eosTokenId, version })
    },
  )
}
