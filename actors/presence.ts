import { z } from 'zod'

// What a newer build says beside this is passed over: a process that cannot be read counts as dead, and its indices as orphans.
const schema = z.object({
  role: z.enum(['controller', 'aggregator', 'uploader', 'generator']),
  instance: z.string(),
  /** Changes with every start of the process: what an earlier boot claimed is an orphan. */
  boot: z.string(),
  host: z.string(),
  pid: z.number().int(),
  version: z.string(),
  profile: z.string(),
  state: z.string(),
  /** The aggregator says whose rollouts it signs; it alone has the key. */
  hotkey: z.string().optional(),
  /** A generator's cards, by index or UUID; empty on a CPU. */
  gpus: z.array(z.string()).optional(),
  engine: z.string().optional(),
  checkpointWindow: z.number().int().optional(),
  /** The window the indices below belong to. */
  window: z.number().int().optional(),
  epoch: z.number().int().optional(),
  /** Claimed and not yet staged. */
  inFlight: z.array(z.number().int()).optional(),
  /** p90 of this generator's groups, ms. */
  groupMs: z.number().optional(),
  /** What must be left before draining ends for this generator to make a claim, ms. */
  claimMs: z.number().optional(),
  /** Of a generator whose engine has a generation server. */
  server: z
    .object({
      /** stopped, starting, ready, degraded, restarting or failed. */
      state: z.string(),
      /** Why it is not ready; '' when all is well. */
      reason: z.string(),
      /** Groups at the server, and the most that may be; with a prover or in line for one; in line for the server. */
      generating: z.number().int(),
      limit: z.number().int(),
      proving: z.number().int(),
      waiting: z.number().int(),
      /** Share of the time since its weights were loaded in which it had a group, between windows too; in [0, 1]. */
      busy: z.number(),
    })
    .optional(),
})

/** What a process says about itself, every second while it lives. */
export type Presence = z.infer<typeof schema>

export function encodePresence(presence: Presence): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(presence))
}

/** Throws when the bytes are no presence. */
export function decodePresence(bytes: Uint8Array): Presence {
  return schema.parse(JSON.parse(new TextDecoder().decode(bytes)))
}

/** Presence is repeated this often, ms: with a time-out of 4 s three may be lost before a live process counts as dead. */
export const PRESENCE_EVERY_MS = 1_000
