import { z } from 'zod'
import { message } from '../../nats/index.js'

const droppedPayload = z.strictObject({ digest: z.string(), reason: z.string(), detail: z.string() })
export type Dropped = z.infer<typeof droppedPayload>

/** A staged group does not go into the file, and why. */
export const dropped = message('grail.window.{window:int}.{epoch:int}.group.dropped.{index:int}', {
  parse: value => droppedPayload.parse(value),
  id: ({ digest, reason }, { window, epoch, index }) => `dropped.${window}.${epoch}.${index}.${digest}.${reason}`,
})

const assemblyPayload = z.strictObject({ attempt: z.number().int(), aggregator: z.string() })

/**
 * The aggregator began the window's file, for the attempt-th time: signatures are randomised, so after a crash the file is
 * made anew and parts of earlier attempts are worthless.
 */
export const assembling = message('grail.window.{window:int}.{epoch:int}.file.assembling', {
  parse: value => assemblyPayload.parse(value),
  id: ({ attempt, aggregator }, { window, epoch }) => `assembling.${window}.${epoch}.${attempt}.${aggregator}`,
})

const partPayload = z.strictObject({
  attempt: z.number().int(),
  /** 1-based */
  number: z.number().int(),
  /** Name in the object store of parts. */
  object: z.string(),
  bytes: z.number().int(),
  sha256: z.string(),
  /** md5 hex: what the bucket's ETag is made of. */
  md5: z.string(),
  last: z.boolean(),
})
export type Part = z.infer<typeof partPayload>

/** A part of the file is ready to go to the bucket. All parts but the last have the same size. */
export const partReady = message('grail.window.{window:int}.{epoch:int}.file.part', {
  parse: value => partPayload.parse(value),
  id: ({ attempt, number, sha256 }, { window, epoch }) => `part.${window}.${epoch}.${attempt}.${number}.${sha256}`,
})

const sealedPayload = z.strictObject({
  attempt: z.number().int(),
  bytes: z.number().int(),
  parts: z.number().int(),
  groups: z.number().int(),
  rows: z.number().int(),
  sha256: z.string(),
  /** Indices in the file, run-length as [from, to] inclusive pairs, ascending. */
  indices: z.array(z.tuple([z.number().int(), z.number().int()])),
  firstHole: z.number().int().optional(),
  /** Holes were cut off (`truncate`). */
  truncated: z.boolean(),
  rehearsal: z.boolean(),
  seconds: z.strictObject({ read: z.number(), encode: z.number(), tail: z.number() }),
})
export type Sealed = z.infer<typeof sealedPayload>

/** The file is complete as bytes: nothing more goes in. `rows` 0 means there is no file. */
export const sealed = message('grail.window.{window:int}.{epoch:int}.file.sealed', {
  parse: value => sealedPayload.parse(value),
  id: ({ attempt }, { window, epoch }) => `sealed.${window}.${epoch}.${attempt}`,
})

const brokenPayload = z.strictObject({ reason: z.string() })

/** The aggregator cannot make this window's file. */
export const assemblyFailed = message('grail.window.{window:int}.{epoch:int}.file.assemblyfailed', {
  parse: value => brokenPayload.parse(value),
  id: ({ reason }, { window, epoch }) => `assemblyfailed.${window}.${epoch}.${reason.slice(0, 40)}`,
})

/** Name of a part in the object store of parts. */
export function partObject(window: number, epoch: number, attempt: number, number: number): string {
  return `${window}/${epoch}/${attempt}/${number}`
}
