import { z } from 'zod'

/** As nvidia-smi counts, or the UUID, which stays the same when cards are added or removed. */
const gpu = z.custom<number | string>(
  value =>
    typeof value === 'number'
      ? Number.isInteger(value) && value >= 0
      : typeof value === 'string' && /^(GPU|MIG)-[0-9A-Za-z/-]+$/.test(value),
  { error: 'a card is a number as nvidia-smi counts them, or a UUID like "GPU-…" ("nvidia-smi -L" lists them)' },
)
export type GpuName = z.infer<typeof gpu>

const isList = (value: unknown): value is unknown[] => Array.isArray(value)

/** The cards of one generator. A plain list generates and proves on the same ones. */
const gpus = z.preprocess(
  value => (isList(value) ? { generate: value, ...(value.length === 0 ? { prove: [] } : {}) } : value),
  z
    .strictObject({
      /** The model is split over all of them. */
      generate: z.array(gpu),
      /** A proof worker for each entry; an entry that is a list itself is one worker spread over several cards. */
      prove: z.array(z.preprocess(entry => (isList(entry) ? entry : [entry]), z.array(gpu).min(1))).optional(),
    })
    .transform(({ generate, prove }) => ({ generate, prove: prove ?? [generate] }))
    .refine(({ generate, prove }) => (generate.length === 0) === (prove.length === 0), {
      error: 'generate and prove need at least one card each; leave gpus out for a generator on the CPU',
    }),
)

export const generator = z.strictObject({
  gpus: gpus.default({ generate: [], prove: [] }),
  /** Cores to bind to, e.g. '0-7'; '' has them found out when the supervisor's file is rendered. */
  cores: z
    .string()
    .regex(/^(\d+(-\d+)?(,\d+(-\d+)?)*)?$/, 'cores are written like 0-7,64-71')
    .default(''),
  /** NUMA node to bind to; absent: found out likewise. */
  numa: z.number().int().min(0).optional(),
  /** transformers: completions sampled at once; 0 takes the whole group. Servers batch by themselves. */
  batch: z.number().int().min(0).max(64).default(0),
})
export type GeneratorInput = z.input<typeof generator>
export type GeneratorConfig = z.output<typeof generator>

/**
 * Why generators cannot have these cards, if so, in a sentence: a server takes most of its cards' memory, so what one
 * generator generates on is not for another one. Two may prove on one card.
 * @param uses by generator; equal names are the same card
 */
export function cardConflict(
  uses: readonly { generate: readonly GpuName[]; prove: readonly GpuName[] }[],
): string | undefined {
  for (const [number, { generate }] of uses.entries()) {
    const twice = generate.find((card, at) => generate.indexOf(card) !== at)
    if (twice !== undefined) return `card ${twice} is listed twice for generator ${number}: list it once`
    for (const [other, theirs] of uses.entries()) {
      if (other === number) continue
      const both = generate.find(card => theirs.generate.includes(card))
      if (both !== undefined) return `card ${both} is to generate for two generators: give it to one`
      const proving = generate.find(card => theirs.prove.includes(card))
      if (proving !== undefined)
        return `card ${proving} is to generate for generator ${number} and to prove for generator ${other}, which would not find the memory: give it to one`
    }
  }
  return undefined
}
