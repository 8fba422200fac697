import type { Store } from '../../nats/index.js'
import { type GateExpectation, gateGroup } from '../../src/protocol/gate.js'
import type { Profile } from '../../src/protocol/profile.js'
import { decodeGroup, digestOf } from '../../src/window/blob.js'
import type { Group } from '../../src/window/group.js'
import type { Staged } from '../generator/messages.js'

/** A staged group that may go into the file, or why it may not. */
export type Taken = { group: Group } | { reason: string; detail: string }

/**
 * Reads a staged group and judges it again: digest, shape, gate. What a generator said about it counts for nothing.
 * Throws what the store throws when the broker is away: the group is then still there to be taken.
 */
export async function takeGroup(
  rollouts: Store,
  { object, digest }: Staged,
  expected: { index: number; rehearsal: boolean; gate: GateExpectation },
  profile: Profile,
  signal: AbortSignal,
): Promise<Taken> {
  let blob: Uint8Array
  try {
    blob = await rollouts.get(object, { signal })
  } catch (error) {
    const code = (error as { code?: string }).code
    if (code === 'not-found') return { reason: 'blob-absent', detail: `${object} is not in the store` }
    if (code === 'corrupt') return { reason: 'blob-corrupt', detail: `${object}: ${String(error)}` }
    throw error
  }
  if (digestOf(blob) !== digest) return { reason: 'blob-corrupt', detail: `${object} is not what was staged` }
  let group: Group
  try {
    group = decodeGroup(blob)
  } catch (error) {
    return { reason: 'blob-unreadable', detail: String(error) }
  }
  if (group.index !== expected.index)
    return { reason: 'wrong-index', detail: `staged as ${expected.index}, says ${group.index}` }
  if ((group.engine === 'rehearsal') !== expected.rehearsal)
    return {
      reason: 'wrong-engine',
      detail: `made by ${group.engine}, the window is ${expected.rehearsal ? 'a' : 'no'} rehearsal`,
    }
  const [finding, ...more] = gateGroup(group, profile, expected.gate)
  if (finding) return { reason: finding.code, detail: [finding, ...more].map(({ message }) => message).join('; ') }
  return { group }
}
