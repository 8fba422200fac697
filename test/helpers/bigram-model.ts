import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

// The tiny model that test/worker/tiny_checkpoint.py writes with "bigram": nothing but embedding, norm and head, so that a
// token's successor depends on that token alone, and a server that stands in for a real one can really sample from it.

const VOCABULARY = 259
const NORM_EPSILON = 1e-6

export interface Sampling {
  temperature: number
  topP: number
  /** 0 or less: off */
  topK: number
  repetitionPenalty: number
}

/** Logits of every successor of every token; uniform where the folder has no weights. */
export function readBigram(folder: string): Float64Array[] {
  const file = join(folder, 'model.safetensors')
  if (!existsSync(file)) return Array.from({ length: VOCABULARY }, () => new Float64Array(VOCABULARY))
  const bytes = readFileSync(file)
  const headerLength = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >
  const tensor = (name: string): { values: Float32Array; width: number } => {
    const { shape, data_offsets } = header[name]!
    const [start, end] = data_offsets.map(offset => 8 + headerLength + offset) as [number, number]
    const words = new Uint32Array((end - start) / 2)
    for (let i = 0; i < words.length; i++) words[i] = bytes.readUInt16LE(start + 2 * i) << 16
    return { values: new Float32Array(words.buffer), width: shape.at(-1)! }
  }
  const embedding = tensor('model.embed_tokens.weight')
  const norm = tensor('model.norm.weight').values
  const head = tensor('lm_head.weight').values
  const { width } = embedding
  const rows = embedding.values.length / width
  return Array.from({ length: rows }, (_, token) => {
    const state = embedding.values.subarray(token * width, (token + 1) * width)
    const scale = 1 / Math.sqrt(state.reduce((sum, x) => sum + x * x, 0) / width + NORM_EPSILON)
    return Float64Array.from({ length: rows }, (_, next) => {
      let sum = 0
      for (let i = 0; i < width; i++) sum += state[i]! * scale * norm[i]! * head[next * width + i]!
      return sum
    })
  })
}

function softmax(logits: Float64Array): Float64Array {
  const most = Math.max(...logits)
  const raw = logits.map(x => Math.exp(x - most))
  const sum = raw.reduce((a, b) => a + b, 0)
  return raw.map(x => x / sum)
}

/** One completion: ends on one of `stops` or at `maxTokens`. Log-probabilities are those of the untempered softmax. */
export function sampleBigram(
  table: Float64Array[],
  prompt: number[],
  { temperature, topP, topK, repetitionPenalty }: Sampling,
  { maxTokens, stops }: { maxTokens: number; stops: ReadonlySet<number> },
): { ids: number[]; logprobs: number[] } {
  const ids: number[] = []
  const logprobs: number[] = []
  const seen = new Set(prompt)
  while (ids.length < maxTokens) {
    const raw = table[ids.at(-1) ?? prompt.at(-1)!]!
    const shaped = raw.map((x, id) => (seen.has(id) ? (x > 0 ? x / repetitionPenalty : x * repetitionPenalty) : x))
    const chances = softmax(shaped.map(x => x / temperature))
    const order = Array.from(chances.keys()).sort((a, b) => chances[b]! - chances[a]!)
    const kept = topK > 0 ? order.slice(0, topK) : order
    let reached = 0
    const nucleus = kept.filter((id, rank) => {
      const stays = rank === 0 || reached < topP
      reached += chances[id]!
      return stays
    })
    let dice = Math.random() * nucleus.reduce((sum, id) => sum + chances[id]!, 0)
    const id =
      nucleus.find(one => {
        dice -= chances[one]!
        return dice <= 0
      }) ?? nucleus[0]!
    ids.push(id)
    logprobs.push(Math.log(softmax(raw)[id]!))
    seen.add(id)
    if (stops.has(id)) break
  }
  return { ids, logprobs }
}
