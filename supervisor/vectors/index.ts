import { bindingChecks } from './binding.js'
import { chainChecks } from './chain.js'
import type { Checks } from './check.js'
import { checkpointChecks } from './checkpoint.js'
import { constantsChecks } from './constants.js'
import { environmentChecks } from './environment.js'
import { miningChecks } from './mining.js'
import { parquetChecks } from './parquet.js'
import { proofChecks } from './proof.js'
import { randomnessChecks } from './randomness.js'
import { validatorChecks } from './validator.js'

/** Every vector file this build can judge, by file name. */
export const vectorChecks: Checks = {
  ...randomnessChecks,
  ...proofChecks,
  ...bindingChecks,
  ...miningChecks,
  ...constantsChecks,
  ...checkpointChecks,
  ...chainChecks,
  ...validatorChecks,
  ...environmentChecks,
  ...parquetChecks,
}
