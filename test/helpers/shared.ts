import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../src/package-root.js'

/** The folder with the reference's vectors and the public data sets; only tests read it. */
export const sharedFolder: string = join(packageRoot, '..', 'shared')

/** Why a test that needs ../shared is skipped, or false when it can run: pass as tap's `skip` option. */
export const sharedAbsent: string | false = existsSync(join(sharedFolder, 'spec', 'vectors'))
  ? false
  : '../shared is absent: the reference vectors and data sets lie there'
