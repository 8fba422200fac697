import { bindingChecks } from './binding.js'
import type { Checks } from './check.js'
import { proofChecks } from './proof.js'
import { randomnessChecks } from './randomness.js'

/** Every vector file this build can judge, by file name. */
export const vectorChecks: Checks = {
  ...randomnessChecks,
  ...proofChecks,
  ...bindingChecks,
}
