import { z } from 'zod'
import { cardConflict, generator } from './generators.js'
import { PRESET_CARDS, presetGenerators, presetNames } from './presets.js'

/** One server of the fleet. Its generators are listed, or follow from a preset. */
export const host = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9-]+$/, 'lower-case letters, digits and dashes'),
    roles: z.array(z.enum(['controller', 'aggregator', 'uploader'])).default([]),
    /** A layout by size of the model, in place of generators; see presets.ts. */
    preset: z.enum(presetNames).optional(),
    /** Cards of this host, for the preset; absent: PRESET_CARDS. */
    cards: z.number().int().min(1).max(64).optional(),
    generators: z.array(generator).default([]),
  })
  .transform(({ preset, cards, ...rest }, context) => {
    const refuse = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message })
    if (preset !== undefined) {
      if (rest.generators.length > 0) refuse('preset', 'a host has either a preset or generators, not both')
      const made = presetGenerators(preset, cards ?? PRESET_CARDS)
      if (typeof made === 'string') refuse('preset', made)
      else return { ...rest, generators: z.array(generator).parse(made) }
    }
    if (preset === undefined && cards !== undefined)
      refuse('cards', 'the number of cards is for a preset: name one, or leave cards out and list generators')
    const conflict = cardConflict(rest.generators.map(({ gpus }) => ({ ...gpus, prove: gpus.prove.flat() })))
    if (conflict !== undefined) refuse('generators', conflict)
    return rest
  })
export type HostConfig = z.output<typeof host>
