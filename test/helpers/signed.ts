import type { Group } from '../../src/window/group.js'
import type { SignedGroup } from '../../src/window/parquet/row.js'

/** A group with texts where signatures belong: right in form, verified by nobody. */
export function withSampleSignatures(group: Group): SignedGroup {
  return {
    group,
    rows: group.rollouts.map((_, i) => ({
      commitSignature: (group.index * 16 + i).toString(16).padStart(128, '0'),
      challenge: `|${group.windowHash}|${group.index * 16 + i}`,
      signature: (group.index * 16 + i).toString(16).padStart(128, 'f'),
    })),
  }
}
