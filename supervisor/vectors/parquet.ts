import type { Checks } from './check.js'
import { mutationCheck } from './mutation-check.js'

/** Window files: written, read, and judged. */
export const parquetChecks: Checks = {
  'validator_mutations.json': mutationCheck,
}
