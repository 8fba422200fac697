export type EngineName = 'rehearsal' | 'transformers'
export type BucketKind = 's3' | 'dir'

/** Sizes of a rehearsal by its engine. */
export interface RehearsalPlan {
  generators: number
  /** Milliseconds per block of the development chain: 30 of them are a window. */
  blockMs: number
  /** Milliseconds a group takes in the rehearsal engine. */
  paceMs: number
}

/** A window of 45 s leaves half a minute to mine in and shows its file within the first minute. */
const REHEARSAL: RehearsalPlan = { generators: 4, blockMs: 1_500, paceMs: 1_500 }

/** A small model on two cores takes half a minute per group: a window of 180 s holds some. One generator, as it uses every core. */
const REAL_MODEL: RehearsalPlan = { generators: 1, blockMs: 6_000, paceMs: 0 }

export function planFor(engine: EngineName): RehearsalPlan {
  return engine === 'rehearsal' ? REHEARSAL : REAL_MODEL
}
