import { BucketError } from './bucket.js'

/** Longest key an S3 store takes, bytes of UTF-8. */
const MAX_KEY_BYTES = 1024

/**
 * Refuses keys that mean something else than themselves somewhere on their way: a path that climbs out of a folder, a URL
 * that a proxy or library would normalise into another bucket, characters XML cannot carry.
 * @throws BucketError 'invalid-key'
 */
export function checkKey(key: string): void {
  const fault = keyFault(key)
  if (fault)
    throw new BucketError('invalid-key', `the key ${JSON.stringify(key.slice(0, 100))} is refused: ${fault}`, 'never')
}

function keyFault(key: string): string | undefined {
  if (key === '') return 'it is empty'
  if (/\p{Surrogate}/u.test(key)) return 'it is not well-formed Unicode'
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) return `it is longer than ${MAX_KEY_BYTES} bytes`
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u001f\u007f\ufffe\uffff]/.test(key)) return 'it has a control character'
  for (const segment of key.split('/')) {
    if (segment === '') return "it starts or ends with '/', or has '//'"
    if (segment === '.' || segment === '..') return `it has '${segment}' between slashes`
  }
  return undefined
}
