import type { z } from 'zod'
import type { Bucket } from './bucket.js'
import { dirOptions, openDirBucket } from './dir.js'
import { openS3Bucket, s3Options } from './s3.js'

/** Every kind of bucket there is: another one is a file beside these and a line here. */
const drivers = {
  dir: { options: dirOptions, open: openDirBucket },
  s3: { options: s3Options, open: openS3Bucket },
} as const

type Drivers = typeof drivers

/** Which bucket, with that driver's options. */
export type BucketConfig = { [K in keyof Drivers]: { kind: K } & z.input<Drivers[K]['options']> }[keyof Drivers]

/**
 * @throws Error with one line that names each wrong option, never its value
 */
export function openBucket({ kind, ...options }: BucketConfig): Bucket {
  const driver: { options: z.ZodType; open(options: never): Bucket } | undefined = Object.hasOwn(drivers, kind)
    ? drivers[kind]
    : undefined
  if (!driver) throw new Error(`there is no bucket of kind '${kind}': there are ${Object.keys(drivers).join(' and ')}`)
  const parsed = driver.options.safeParse(options)
  if (!parsed.success) {
    const faults = parsed.error.issues.map(issue => `${issue.path.join('.') || 'options'}: ${issue.message}`)
    throw new Error(`the ${kind} bucket cannot be opened: ${faults.join('; ')}`)
  }
  return driver.open(options as never)
}
