import { PRIME_Q } from '../../src/protocol/profile.js'
import type { JudgeOptions } from '../../src/validation/index.js'
import type { FileHeader } from '../../src/window/parquet/row.js'
import { groupRows, type PlainRow, prove, signCommit, signRow, WINDOW, type Workshop } from './mutation-baseline.js'

/** A file under construction, and what the validator that will judge it has loaded. */
export interface Draft {
  shop: Workshop
  rows: PlainRow[]
  header: Omit<FileHeader, 'inferenceCount'>
  judge: Pick<JudgeOptions, 'checkpoint' | 'engine'>
  /** Group the validator must choose where it chooses. */
  mustOpen?: number
}

type Mutation = (draft: Draft) => void | Promise<void>

/** Changes every row's commit, then signs it again. */
const resigned =
  (change: (row: PlainRow) => void): Mutation =>
  ({ rows, shop }) => {
    for (const row of rows) {
      change(row)
      signCommit(row, shop.hotkey)
    }
  }

/** Changes every row without signing again. */
const each =
  (change: (row: PlainRow, index: number) => void): Mutation =>
  ({ rows }) => {
    rows.forEach(change)
  }

/** Changes the first row. */
const first =
  (change: (row: PlainRow) => void): Mutation =>
  ({ rows }) => {
    change(rows[0] as PlainRow)
  }

const sketches =
  (change: (sketch: number) => unknown): Mutation =>
  draft =>
    resigned(({ commit }) => {
      const items = JSON.parse(commit.commitments) as { sketch: number }[]
      // Python writes a whole float as n.0; JSON.stringify would drop the point.
      commit.commitments = `[${items.map(({ sketch }) => `{"sketch":${change(sketch)}}`).join(',')}]`
    })(draft)

const commitments =
  (change: (json: string) => string): Mutation =>
  draft =>
    resigned(({ commit }) => {
      commit.commitments = change(commit.commitments)
    })(draft)

/** Rewards raised by half in the first rows; advantages follow the new rewards. */
const raisedRewards =
  (count: number): Mutation =>
  ({ rows }) => {
    for (const { commit } of rows.slice(0, count)) commit.rollout.total_reward += 0.5
    const rewards = rows.map(({ commit }) => commit.rollout.total_reward)
    const mean = rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length
    const deviation = Math.sqrt(rewards.reduce((sum, reward) => sum + (reward - mean) ** 2, 0) / rewards.length)
    for (const { commit } of rows)
      commit.rollout.advantage = (commit.rollout.total_reward - mean) / Math.max(deviation, 1e-8)
  }

/** Cuts the first row's completion, proves and signs what is left. */
const cut =
  (tokens: number, last?: (draft: Draft) => number): Mutation =>
  async draft => {
    const row = draft.rows[0] as PlainRow
    row.commit.tokens = row.commit.tokens.slice(0, row.commit.rollout.prompt_length + tokens)
    if (last) row.commit.tokens[row.commit.tokens.length - 1] = last(draft)
    await prove(draft.shop, row)
  }

/** A model that finds its end token as improbable as it is in the middle of a sentence. */
const improbableEnd: Mutation = draft => {
  const { engine } = draft.shop
  draft.judge.engine = {
    ...engine,
    verify: async (request, signal) => ({ ...(await engine.verify(request, signal)), eosProbability: 1e-4 }),
  }
}

const generation =
  (change: Partial<NonNullable<JudgeOptions['checkpoint']>['generation']>): Mutation =>
  ({ judge, shop }) => {
    judge.checkpoint = { ...shop.metadata, generation: { ...shop.metadata.generation, ...change } }
  }

const beacon =
  (change: (randomness: string) => unknown): ((row: PlainRow) => void) =>
  ({ commit }) => {
    const { randomness } = JSON.parse(commit.beacon) as { randomness: string }
    commit.beacon = JSON.stringify(change(randomness))
  }

const OTHER_RANDOMNESS = '0123456789abcdef'.repeat(4)

/** What each name of the vector file means, as a change of a valid window. First match counts. */
const MUTATIONS: readonly (readonly [name: RegExp, mutation: Mutation])[] = [
  [/^baseline/, () => undefined],
  [/rows in reverse order/, ({ rows }) => void rows.reverse()],
  [
    /^rollout_group (\d+) instead/,
    each(row => {
      row.rollout_group = 5
    }),
  ],
  [/^only group 5/, groups(5)],
  [/^groups 5 then 0/, groups(5, 0)],
  [
    /negative rollout_group/,
    async draft => {
      draft.rows = await groupRows(draft.shop, -3)
      draft.rows.forEach((row, i) => {
        row.nonce = i
        signRow(row, draft.shop.hotkey)
      })
    },
  ],
  [
    /nonces renumbered 1000/,
    ({ rows, shop }) =>
      rows.forEach((row, i) => {
        row.nonce = 1_000 + i
        signRow(row, shop.hotkey)
      }),
  ],
  [
    /nonces renumbered, challenge/,
    each((row, i) => {
      row.nonce = 500 + i
    }),
  ],
  [
    /rollout_index\/total_in_group/,
    each(row => {
      row.rollout_index = 77
      row.total_in_group = 3
      row.block = 1
      row.randomness = 'zz'
      row.use_drand = false
      row.timestamp = -1
    }),
  ],
  [
    /row hotkey\+signature of another key/,
    ({ rows, shop }) =>
      rows.forEach(row => {
        row.hotkey = shop.other.ss58
        signRow(row, shop.other, row.challenge)
      }),
  ],
  [
    /row signature with 0x/,
    each(row => {
      row.signature = `0x${row.signature}`
    }),
  ],
  [
    /row signature wrong in one row/,
    ({ rows }) => {
      const row = rows[3] as PlainRow
      row.signature = (rows[4] as PlainRow).signature
    },
  ],
  [
    /challenge empty/,
    ({ rows, shop }) => {
      for (const row of rows) signRow(row, shop.hotkey, '')
    },
  ],
  [
    /challenge text arbitrary/,
    ({ rows, shop }) => {
      for (const row of rows) signRow(row, shop.hotkey, 'anything at all')
    },
  ],
  [
    /^commit\.signature by another key/,
    ({ rows, shop }) => {
      for (const row of rows) signCommit(row, shop.other)
    },
  ],
  [
    /^commit\.signature with 0x/,
    each(({ commit }) => {
      commit.signature = `0x${commit.signature}`
    }),
  ],
  [
    /^commit\.signature upper-case/,
    each(({ commit }) => {
      commit.signature = commit.signature.toUpperCase()
    }),
  ],
  [/^proof_version v4/, version('v4')],
  [/^proof_version v3/, version('v3')],
  [/^proof_version v1/, version('v1')],
  [
    /^model\.name different \(re-signed/,
    resigned(({ commit }) => {
      commit.model.name = '/cache/another/path'
    }),
  ],
  [
    /^model\.name different \(not/,
    each(({ commit }) => {
      commit.model.name = '/cache/another/path'
    }),
  ],
  [
    /^layer_index -2/,
    resigned(({ commit }) => {
      commit.model.layer_index = -2
    }),
  ],
  [/^beacon randomness 0x/, resigned(beacon(randomness => ({ randomness: `0x${randomness}` })))],
  [
    /^beacon = another random hex/,
    async ({ rows, shop }) => {
      for (const row of rows) {
        beacon(() => ({ randomness: OTHER_RANDOMNESS }))(row)
        await prove(shop, row)
      }
    },
  ],
  [/^beacon replaced/, resigned(beacon(() => ({ randomness: OTHER_RANDOMNESS })))],
  [/^beacon with extra keys/, resigned(beacon(randomness => ({ randomness, round: 7, hash: 'ab' })))],
  [
    /^checkpoint_window one window older/,
    each(row => {
      row.checkpoint_window -= 30
    }),
  ],
  [
    /^checkpoint_window 0/,
    each(row => {
      row.checkpoint_window = 0
    }),
  ],
  [
    /^success flag inverted/,
    each(({ commit }) => {
      commit.rollout.success = !commit.rollout.success
    }),
  ],
  [
    /^reward off by 1%/,
    each(({ commit }) => {
      commit.rollout.total_reward *= 1.01
    }),
  ],
  [
    /^reward off by 5% in one/,
    first(({ commit }) => {
      commit.rollout.total_reward *= 1.05
    }),
  ],
  ...[1, 2, 3, 4, 5].map(count => [new RegExp(`^reward \\+0\\.5 in ${count} of`), raisedRewards(count)] as const),
  [
    /^advantages all zero/,
    each(({ commit }) => {
      commit.rollout.advantage = 0
    }),
  ],
  [
    /^one advantage \+0\.002/,
    first(({ commit }) => {
      commit.rollout.advantage += 0.002
    }),
  ],
  [
    /^one advantage \+0\.0009/,
    first(({ commit }) => {
      commit.rollout.advantage += 0.0009
    }),
  ],
  [/^logprobs shifted by 0\.09/, logprobs(value => value + 0.09)],
  [/^logprobs shifted by 0\.10/, logprobs(value => value + 0.1)],
  [/^logprobs divided by temperature/, logprobs(value => value / 0.7)],
  [
    /^token_logprobs without the prompt zeros/,
    each(({ commit: { rollout } }) => {
      rollout.token_logprobs = rollout.token_logprobs.slice(rollout.prompt_length)
    }),
  ],
  [
    /^prompt part of token_logprobs/,
    each(({ commit: { rollout } }) => {
      rollout.token_logprobs.fill(-5, 0, rollout.prompt_length)
    }),
  ],
  [
    /^token_logprobs empty/,
    each(({ commit: { rollout } }) => {
      rollout.token_logprobs = []
    }),
  ],
  [
    /^token_logprobs -inf at 10/,
    each(({ commit: { rollout } }) => {
      rollout.token_logprobs.fill(Number.NEGATIVE_INFINITY, rollout.prompt_length, rollout.prompt_length + 10)
    }),
  ],
  [
    /^prompt token changed/,
    resigned(({ commit }) => {
      commit.tokens[5] = (commit.tokens[5] as number) + 1
    }),
  ],
  [
    /^prompt_length off by one/,
    each(({ commit: { rollout } }) => {
      rollout.prompt_length += 1
      rollout.completion_length -= 1
    }),
  ],
  [
    /^token id >= vocab_size/,
    ({ rows, shop }) => {
      for (const row of rows) {
        row.commit.tokens[row.commit.tokens.length - 3] = shop.model.vocabSize
        signCommit(row, shop.hotkey)
      }
    },
  ],
  [/^completion cut to 35 tokens, last token not EOS/, cut(35)],
  [
    /^completion cut to 35 tokens, last token replaced/,
    async draft => {
      await cut(35, ({ shop }) => shop.model.eosTokenId)(draft)
      await improbableEnd(draft)
    },
  ],
  [/^completion cut to 31/, cut(31)],
  [/^validator max_tokens 64/, generation({ maxTokens: 64 })],
  [/^validator max_tokens 39/, generation({ maxTokens: 39 })],
  [
    /^unknown env_id/,
    ({ judge, shop }) => {
      judge.checkpoint = { ...shop.metadata, environment: 'affine_trace' }
    },
  ],
  [/^generation_params without repetition_penalty/, generation({ repetitionPenalty: Number.NaN })],
  [/^commitments with extra keys/, commitments(json => json.replaceAll('}', ',"position":1}'))],
  [/^commitments without sketch/, commitments(json => json.replaceAll('"sketch"', '"sketches"'))],
  [/^sketch as float/, sketches(sketch => `${sketch}.0`)],
  [/^sketch as string/, sketches(sketch => `"${sketch}"`)],
  [/^every sketch \+5999/, sketches(sketch => (sketch + 5_999) % PRIME_Q)],
  [/^every sketch \+20000/, sketches(sketch => (sketch + 20_000) % PRIME_Q)],
  [/^every sketch = 0/, sketches(() => 0)],
  [/^commitments one short/, commitments(json => json.replace(/,\{[^}]*\}\]$/, ']'))],
  [/^15 rows/, ({ rows }) => void rows.pop()],
  [/^17 rows/, ({ rows }) => void rows.push({ ...(rows[3] as PlainRow), nonce: 9_999 })],
  [
    /two identical completions/,
    ({ rows, shop }) => {
      const [one, two] = rows as [PlainRow, PlainRow]
      two.commit = structuredClone(one.commit)
      signCommit(two, shop.hotkey)
    },
  ],
  [
    /^duplicate nonce/,
    ({ rows }) => {
      const row = rows[7] as PlainRow
      row.nonce = (rows[2] as PlainRow).nonce
    },
  ],
  [
    /^wallet metadata empty/,
    ({ header }) => {
      header.wallet = ''
    },
  ],
  [
    /^wallet metadata of another/,
    ({ header, shop }) => {
      header.wallet = shop.other.ss58
    },
  ],
  [
    /^file window_start \+ 30/,
    ({ header }) => {
      header.windowStart = WINDOW + 30
    },
  ],
  [
    /^one row window_start \+ 30/,
    first(row => {
      row.window_start += 30
    }),
  ],
  [
    /^one row block_hash upper/,
    first(row => {
      row.block_hash = row.block_hash.toUpperCase()
    }),
  ],
  [/^empty file/, ({ rows }) => void rows.splice(0)],
  [
    /^commit\.env present/,
    each(({ commit }) => {
      Object.assign(commit, { env: { id: 'sat', seed: 1 } })
    }),
  ],
  [
    /^24 rows/,
    async draft => {
      draft.rows.push(...(await groupRows(draft.shop, 1)).slice(0, 8))
    },
  ],
  [
    /^32 rows, group 1 has bad commit signatures/,
    async draft => {
      const bad = await groupRows(draft.shop, 1)
      for (const row of bad) signCommit(row, draft.shop.other)
      draft.rows.push(...bad)
      draft.mustOpen = 1
    },
  ],
]

/** The change a case's name describes; undefined when nobody has written down what the name means. */
export function mutationOf(name: string): Mutation | undefined {
  return MUTATIONS.find(([title]) => title.test(name))?.[1]
}

function groups(...numbers: number[]): Mutation {
  return async draft => {
    draft.rows = []
    for (const number of numbers) draft.rows.push(...(await groupRows(draft.shop, number)))
  }
}

function version(proofVersion: string): Mutation {
  return each(({ commit }) => {
    commit.proof_version = proofVersion
  })
}

function logprobs(change: (value: number) => number): Mutation {
  return each(({ commit: { rollout } }) => {
    rollout.token_logprobs = rollout.token_logprobs.map((value, i) =>
      i < rollout.prompt_length ? value : change(value),
    )
  })
}
