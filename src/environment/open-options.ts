import type { DatasetPlaces } from './dataset/dataset.js'
import type { Environment } from './environment.js'

export interface EnvironmentOptions extends DatasetPlaces {
  /** The checkpoint's env_params. */
  params: Record<string, unknown>
  /** Python interpreter that judges code and symbolic answers, 3.10 or newer; 'python3' by default. */
  python?: string | undefined
  signal: AbortSignal
  /** Told what an operator should know, e.g. that symbolic answers cannot be compared. */
  warn?: ((message: string) => void) | undefined
}

export type OpenEnvironment = (options: EnvironmentOptions) => Promise<Environment>

/** The checkpoint asks for something this build cannot do, or must not. Mining another thing instead would waste the window. */
export class EnvironmentRefused extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'EnvironmentRefused'
  }
}

/**
 * `params.split`, or `train` (grail/environments/factory.py:181-183, 54d6342).
 * @throws EnvironmentRefused when it is none of `splits`
 */
export function splitOf<Split extends string>(
  environment: string,
  params: Record<string, unknown>,
  splits: readonly Split[],
): Split {
  const split = 'split' in params ? params.split : 'train'
  if (splits.includes(split as Split)) return split as Split
  throw new EnvironmentRefused(
    `the checkpoint asks for split ${JSON.stringify(split)} of ${environment}, which has ${splits.join(', ')}`,
  )
}
