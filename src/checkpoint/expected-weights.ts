import type { Checkpoint } from './metadata.js'

/**
 * Hash of the weights whoever loads this checkpoint must report: the trainer's word, or, where metadata carries none (a FULL
 * one need not), what was computed of the files. Lower-case hex; '' when nobody knows.
 */
export function expectedWeights({ metadata, weightsHash }: Checkpoint): string {
  return (metadata.weightsHash || weightsHash || '').toLowerCase()
}
