import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { ThinkingMode } from '../../checkpoint/metadata.js'

/** Longest sequence assumed when neither config.json nor tokenizer_config.json says, tokens. */
const DEFAULT_POSITIONS = 32_768
/** Tokenizers without a limit of their own write a huge float here. */
const LARGEST_LENGTH = 2 ** 31

const Named = z.union([z.string(), z.object({ content: z.string() }).transform(token => token.content)])
/** Read by hand: of 150,000 pieces a schema would make 150,000 results, in half of the time that a rehearsal takes to start. */
const Vocab = z.unknown().transform((value, context): Map<string, number> => {
  const ids = idsOf(value)
  if (!ids) context.addIssue('is neither ids by piece nor a list of pieces with scores')
  return ids ?? z.NEVER
})
const TokenizerJson = z.object({
  model: z.object({ vocab: Vocab }),
  added_tokens: z.array(z.object({ id: z.int(), content: z.string() })).default([]),
})
const TokenizerConfig = z.object({ eos_token: Named, model_max_length: z.number().optional() })
const ModelConfig = z.object({ vocab_size: z.int().optional(), max_position_embeddings: z.int().optional() })

/** The ids a rehearsal may use, all valid for the checkpoint's tokenizer. */
export interface Vocabulary {
  /** Ordinary tokens; never EOS, never a special token. */
  plain: Int32Array
  eosTokenId: number
  vocabSize: number
  maxPositions: number
  /** Ids whose decoded text ends the thinking part and opens the answer; empty when the tokenizer cannot spell it. */
  opening: Int32Array
  closing: Int32Array
  /** Ids of '0' … '9' and of ' '; empty likewise. */
  digits: Int32Array
  space: Int32Array
}

/** Id by piece, of an object that has them or of a list of [piece, score] in the order of the ids. */
function idsOf(vocab: unknown): Map<string, number> | undefined {
  if (typeof vocab !== 'object' || vocab === null) return undefined
  const ids = new Map<string, number>()
  if (Array.isArray(vocab)) {
    for (const [id, one] of vocab.entries()) {
      if (!Array.isArray(one) || typeof one[0] !== 'string' || typeof one[1] !== 'number') return undefined
      ids.set(one[0], id)
    }
    return ids
  }
  for (const piece in vocab) {
    const id = (vocab as Record<string, unknown>)[piece]
    if (!Number.isInteger(id)) return undefined
    ids.set(piece, id as number)
  }
  return ids
}

async function json<T>(file: string, schema: z.ZodType<T>): Promise<T> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`cannot read ${file}: a checkpoint folder needs tokenizer.json and tokenizer_config.json`, {
      cause,
    })
  })
  const parsed = schema.safeParse(JSON.parse(text))
  if (!parsed.success) throw new Error(`${file}: ${z.prettifyError(parsed.error)}`)
  return parsed.data
}

/** Spells `text` with the fewest tokens left to right, or not at all. Byte-level BPE writes a space as Ġ; its decoder joins pieces. */
function spell(text: string, ids: Map<string, number>): Int32Array {
  const pieces = text.replaceAll(' ', 'Ġ').replaceAll('\n', 'Ċ')
  const out: number[] = []
  for (let at = 0; at < pieces.length; ) {
    let end = pieces.length
    while (end > at && !ids.has(pieces.slice(at, end))) end--
    if (end === at) return new Int32Array()
    out.push(ids.get(pieces.slice(at, end))!)
    at = end
  }
  return Int32Array.from(out)
}

/**
 * Reads the tokenizer files of a checkpoint folder.
 * @throws Error naming the file that is missing or wrong
 */
export async function readVocabulary(folder: string, thinking: ThinkingMode): Promise<Vocabulary> {
  const tokenizer = await json(join(folder, 'tokenizer.json'), TokenizerJson)
  const config = await json(join(folder, 'tokenizer_config.json'), TokenizerConfig)
  const model = await json(join(folder, 'config.json'), ModelConfig).catch((): z.infer<typeof ModelConfig> => ({}))

  const ids = tokenizer.model.vocab
  let largest = 0
  for (const id of ids.values()) largest = Math.max(largest, id)
  for (const token of tokenizer.added_tokens) {
    largest = Math.max(largest, token.id)
    if (token.content === config.eos_token) continue
    ids.delete(token.content)
  }
  const eosTokenId =
    tokenizer.added_tokens.find(token => token.content === config.eos_token)?.id ?? ids.get(config.eos_token)
  if (eosTokenId === undefined) throw new Error(`${folder}: eos_token ${config.eos_token} is not in tokenizer.json`)
  ids.delete(config.eos_token)

  // Whole lower-case words only, where there are any: the text then decodes to something legible and never to half a character.
  const wordLike = [...ids].filter(([piece]) => /^[Ġ▁]?[a-z]{2,12}$/.test(piece)).map(([, id]) => id)
  const plain = Int32Array.from(wordLike.length >= 256 ? wordLike : ids.values()).sort()
  if (plain.length === 0) throw new Error(`${folder}: tokenizer.json has no ordinary tokens`)

  const digits = Array.from('0123456789', digit => ids.get(digit))
  const limit = config.model_max_length
  return {
    plain,
    eosTokenId,
    vocabSize: Math.max(model.vocab_size ?? 0, largest + 1),
    maxPositions:
      model.max_position_embeddings ?? (limit !== undefined && limit < LARGEST_LENGTH ? limit : DEFAULT_POSITIONS),
    opening: spell(thinking === 'native' ? '</think>\n<SOLUTION>' : '</end_working_out>\n<SOLUTION>', ids),
    closing: spell('</SOLUTION>', ids),
    digits: digits.includes(undefined) ? new Int32Array() : Int32Array.from(digits as number[]),
    space: spell(' ', ids),
  }
}
