import { createHash } from 'node:crypto'
import { canonicalJson } from './canonical-json.js'
import type { Profile } from './profile.js'
import type { PythonJson } from './python-json.js'
import { PythonRandom } from './python-random.js'
import { utf8 } from './python-text.js'

/**
 * Digest of a group that orders groups before the choice, 64 hex digits: sha256 over the sha256 of each row's commit as
 * canonical JSON, rows in file order (one-covenant/grail grail/validation/miner_validator.py:569-635, 54d6342).
 * @param commits one per row, as Python holds them after reading the file
 */
export function groupDigest(commits: Iterable<PythonJson>): string {
  const digest = createHash('sha256')
  for (const commit of commits) digest.update(createHash('sha256').update(canonicalJson(commit)).digest())
  return digest.digest('hex')
}

/** How many groups of a larger file a validator opens: at least one, at most profile.rowSample.maxGroups. */
export function groupSampleSize(groups: number, profile: Profile): number {
  const { share, maxGroups } = profile.rowSample
  return Math.min(Math.max(1, Math.min(groups, Math.trunc(groups * share))), maxGroups)
}

/**
 * The groups a validator opens, in the order of its choice, or 'all' for a small file
 * (grail/validation/miner_validator.py:569-635, 54d6342). Nobody knows the randomness before the window has ended.
 * @param groups id → `groupDigest`
 * @param rows of the whole file
 */
export function sampleGroups(
  groups: ReadonlyMap<string, string>,
  rows: number,
  hotkey: string,
  challengeRandomness: string,
  profile: Profile,
): 'all' | string[] {
  if (rows <= profile.rowSample.all) return 'all'
  const ordered = [...groups].sort(([, a], [, b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([id]) => id)
  const seed = createHash('sha256')
    .update(utf8(`${hotkey}:${challengeRandomness}`))
    .digest()
    .readBigUInt64BE(0)
  return new PythonRandom(seed).sample(ordered, groupSampleSize(ordered.length, profile))
}
