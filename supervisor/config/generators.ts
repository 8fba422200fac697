import { z } from 'zod'
import { PRESET_CARDS, presetGenerators, presetNames } from './presets.js'

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

const generator = z.strictObject({
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

/** The card two generators generate on, if any: neither would have the memory it was given. */
function sharedCard(generators: readonly GeneratorConfig[]): GpuName | undefined {
  const all = generators.flatMap(({ gpus }) => gpus.generate)
  return all.find((name, at) => all.indexOf(name) !== at)
}

/** One server of the fleet. Its generators are listed, or follow from a preset. */
export const host = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9-]+$/, 'lower-case letters, digits and dashes'),
    roles: z.array(z.enum(['controller', 'aggregator', 'uploader'])).default([]),
    /** A layout by size of the model, in place of generators; see presets.ts. */
    preset: z.enum(presetNames).optional(),
    /** Cards of this host, for the preset. */
    cards: z.number().int().min(1).max(64).default(PRESET_CARDS),
    generators: z.array(generator).default([]),
  })
  .transform(({ preset, cards, ...rest }, context) => {
    const refuse = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message })
    if (preset !== undefined) {
      if (rest.generators.length > 0) refuse('preset', 'a host has either a preset or generators, not both')
      const made = presetGenerators(preset, cards)
      if (typeof made === 'string') refuse('preset', made)
      else return { ...rest, generators: z.array(generator).parse(made) }
    }
    const shared = sharedCard(rest.generators)
    if (shared !== undefined) refuse('generators', `card ${shared} is to generate for two generators: give it to one`)
    return rest
  })
export type HostConfig = z.output<typeof host>
