import { createHash } from 'node:crypto'

/** MD5 of `bytes`, 32 lower-case hex characters: the etag of an object stored by one PUT, and of one part. */
export function singleEtag(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex')
}

/**
 * The etag a store gives an object put together from parts: MD5 over the parts' binary MD5s, a dash, and how many there
 * were. S3 does so for unencrypted and SSE-S3 objects, Cloudflare R2 since June 2023.
 * @param partMd5s hex MD5 of every part, in the order of part numbers
 * @throws RangeError when there are no parts or one of them is not an MD5 (a store that encrypts with its own keys)
 */
export function multipartEtag(partMd5s: readonly string[]): string {
  if (partMd5s.length === 0) throw new RangeError('an upload without parts has no etag')
  const hash = createHash('md5')
  for (const md5 of partMd5s) {
    if (!isMd5(md5)) throw new RangeError(`'${md5}' is not the MD5 of a part: the store's etags cannot be checked`)
    hash.update(md5, 'hex')
  }
  return `${hash.digest('hex')}-${partMd5s.length}`
}

/** Is this etag the MD5 of the bytes it belongs to? */
export function isMd5(etag: string): boolean {
  return /^[0-9a-f]{32}$/.test(etag)
}
