import { z } from 'zod'
import { message } from '../../nats/index.js'

const seconds = z.strictObject({
  prompt: z.number(),
  generate: z.number(),
  prove: z.number(),
  reward: z.number(),
  stage: z.number(),
})

const stagedPayload = z.strictObject({
  /** Name in the object store of staged groups. */
  object: z.string(),
  /** SHA-256 of the blob, hex. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z.number().int(),
  rollouts: z.number().int(),
  generator: z.string(),
  boot: z.string(),
  checkpointWindow: z.number().int(),
  seconds,
})
export type Staged = z.infer<typeof stagedPayload>

/** A gated group lies in the object store. The first one of an index counts. */
export const staged = message('grail.window.{window:int}.{epoch:int}.group.staged.{index:int}', {
  parse: value => stagedPayload.parse(value),
  id: ({ digest }, { window, epoch, index }) => `staged.${window}.${epoch}.${index}.${digest}`,
})

const gaveUpPayload = z.strictObject({
  reason: z.string(),
  detail: z.string(),
  generator: z.string(),
  boot: z.string(),
})
export type GaveUp = z.infer<typeof gaveUpPayload>

/** The generator made a group that must not be uploaded (too short, gate, judge broken): the index is burned, not a hole to fill. */
export const gaveUp = message('grail.window.{window:int}.{epoch:int}.group.gaveup.{index:int}', {
  parse: value => gaveUpPayload.parse(value),
  id: ({ boot, reason }, { window, epoch, index }) => `gaveup.${window}.${epoch}.${index}.${boot}.${reason}`,
})

/** Name of a staged group in the object store: content-addressed, so that two makers of one index never overwrite each other. */
export function stagedObject(window: number, epoch: number, index: number, digest: string): string {
  return `${window}/${epoch}/${index}/${digest}`
}
