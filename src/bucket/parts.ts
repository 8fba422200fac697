import { BucketError, type PartFacts } from './bucket.js'

/** Smallest part but the last, bytes: the rule of S3 and R2. */
export const MIN_PART_BYTES = 5 * 1024 * 1024

/** Most parts of one upload: the rule of S3 and R2. */
export const MAX_PARTS = 10_000

/** @throws BucketError 'invalid-part' when no upload can have a part of this number */
export function checkPartNumber(number: number): void {
  if (!Number.isInteger(number) || number < 1 || number > MAX_PARTS)
    throw new BucketError(
      'invalid-part',
      `part ${number} is refused: parts are numbered from 1 to ${MAX_PARTS}`,
      'never',
    )
}

/**
 * The parts of a Complete in ascending order, checked by the strictest store there is: Cloudflare R2 wants all parts but
 * the last equal in size and the last no larger, where S3 only wants 5 MiB. One rule for all keeps a mistake from
 * showing up in production first.
 * @throws BucketError 'invalid-part' or 'entity-too-small'
 */
export function orderedParts(parts: readonly PartFacts[]): PartFacts[] {
  const ordered = [...parts].sort((a, b) => a.number - b.number)
  const [first, last] = [ordered[0], ordered.at(-1)]
  if (!first || !last) throw new BucketError('invalid-part', 'an upload cannot be completed without parts', 'never')
  for (const [i, part] of ordered.entries()) {
    checkPartNumber(part.number)
    if (ordered[i + 1]?.number === part.number)
      throw new BucketError('invalid-part', `part ${part.number} is named twice`, 'never')
    if (part !== last && part.bytes < MIN_PART_BYTES)
      throw new BucketError(
        'entity-too-small',
        `part ${part.number} has ${part.bytes} bytes: every part but the last needs ${MIN_PART_BYTES}`,
        'never',
      )
    if (part === last ? part.bytes > first.bytes : part.bytes !== first.bytes)
      throw new BucketError(
        'invalid-part',
        `part ${part.number} has ${part.bytes} bytes and part ${first.number} has ${first.bytes}: all parts but the last are equal in size and the last is no larger`,
        'never',
      )
  }
  return ordered
}
