import { createHash } from 'node:crypto'
import { createXXHash128 } from 'hash-wasm'
import { byCodePoint } from '../protocol/canonical-json.js'
import type { Profile } from '../protocol/profile.js'
import type { Tensor } from './tensor.js'

/**
 * Digest that says whether two sets of weights are the same, hex. grail-v5: xxh3-128 over the tensors' bytes in order of
 * their names (one-covenant/grail grail/infrastructure/delta_checkpoint.py:175, 54d6342); names, shapes and types do not
 * count. fork-v1: sha256 over name, type, shape and bytes of each (Agile-Ascent-Limited/Grail, same file, c66a3e4).
 */
export async function weightsHash(tensors: ReadonlyMap<string, Tensor>, profile: Profile): Promise<string> {
  const names = [...tensors.keys()].sort(byCodePoint)
  if (profile.weightsHash === 'xxh3_128') {
    const hash = await createXXHash128()
    hash.init()
    for (const name of names) hash.update(tensors.get(name)!.bytes)
    return hash.digest('hex')
  }
  const hash = createHash('sha256')
  for (const name of names) {
    const { type, shape, bytes } = tensors.get(name)!
    hash.update(name, 'utf8').update(`torch.${type}`).update(tupleText(shape)).update(bytes)
  }
  return hash.digest('hex')
}

/** A shape as Python writes a tuple: `(2, 3)`, `(5,)`, `()`. */
function tupleText(shape: readonly number[]): string {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`
}
