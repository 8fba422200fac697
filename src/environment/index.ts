import { GRAIL_V5, type Profile } from '../protocol/profile.js'
import type { Environment } from './environment.js'
import { openGsm8k } from './gsm8k.js'
import { openHumanEval } from './humaneval.js'
import { openMath } from './math.js'
import { openMbpp, openPythonCode } from './mbpp.js'
import { type EnvironmentOptions, EnvironmentRefused, type OpenEnvironment } from './open-options.js'
import { openSat } from './sat.js'
import { openTritonKernel } from './triton-kernel.js'

/** Every environment this build can mine, by its id. */
const ENVIRONMENTS: Record<string, OpenEnvironment> = {
  gsm8k: openGsm8k,
  humaneval: openHumanEval,
  math: openMath,
  mbpp: openMbpp,
  python_code: openPythonCode,
  sat: openSat,
  triton_kernel: openTritonKernel,
}

/**
 * Opens the environment a checkpoint names: loads its data set, starts its judges.
 * @throws EnvironmentRefused when validators of the profile do not know the id, or this build cannot do what is asked
 * @throws DatasetError when the data set is absent or changed
 */
export async function openEnvironment(
  id: string,
  options: EnvironmentOptions,
  profile: Profile = GRAIL_V5,
): Promise<Environment> {
  if (!profile.environmentIds.includes(id))
    throw new EnvironmentRefused(
      `validators of profile ${profile.id} do not know the environment "${id}": every row would be refused. They know ${profile.environmentIds.join(', ')}`,
    )
  const open = Object.hasOwn(ENVIRONMENTS, id) ? ENVIRONMENTS[id] : undefined
  if (!open) throw new EnvironmentRefused(`this build has no environment "${id}"`)
  options.signal.throwIfAborted()
  return await open(options)
}
