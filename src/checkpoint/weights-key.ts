import type { CheckpointMetadata } from './metadata.js'

/** Tells one checkpoint from every other one, also from one of a trainer that started over and uses its windows again. */
export function weightsKey({ window, weightsHash }: Pick<CheckpointMetadata, 'window' | 'weightsHash'>): string {
  return `${window}/${weightsHash}`
}
