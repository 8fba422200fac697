import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { createXXHash128 } from 'hash-wasm'
import { byCodePoint } from '../protocol/canonical-json.js'
import type { Profile } from '../protocol/profile.js'
import { readSteps } from './disk.js'
import { readWeightFiles } from './safetensors.js'
import type { Tensor } from './tensor.js'

/** Hashes weights tensor by tensor, in order of their names. */
interface WeightsHasher {
  /** Begins a tensor. @param type as torch names it */
  tensor(name: string, type: string, shape: readonly number[]): void
  /** Bytes of the tensor begun last, in order. */
  update(bytes: Uint8Array): void
  /** Hex. */
  digest(): string
}

/**
 * Digest that says whether two sets of weights are the same, hex. grail-v5: xxh3-128 over the tensors' bytes in order of
 * their names (one-covenant/grail grail/infrastructure/delta_checkpoint.py:175, 54d6342); names, shapes and types do not
 * count. fork-v1: sha256 over name, type, shape and bytes of each (Agile-Ascent-Limited/Grail, same file, c66a3e4).
 */
export async function weightsHash(tensors: ReadonlyMap<string, Tensor>, profile: Profile): Promise<string> {
  const hasher = await weightsHasher(profile)
  for (const name of [...tensors.keys()].sort(byCodePoint)) {
    const { type, shape, bytes } = tensors.get(name)!
    hasher.tensor(name, type, shape)
    hasher.update(bytes)
  }
  return hasher.digest()
}

/**
 * The same digest of all weights in a checkpoint's folder, '' when it has none. Reads a few MiB at a time.
 * @throws CheckpointError 'malformed' when a file is no safetensors file
 */
export async function weightsHashOfFolder(folder: string, profile: Profile, signal: AbortSignal): Promise<string> {
  const tensors = (await readWeightFiles(folder)).flatMap(file => file.tensors)
  if (tensors.length === 0) return ''
  const hasher = await weightsHasher(profile)
  for (const { name, type, shape, file, offset, bytes } of tensors.sort((a, b) => byCodePoint(a.name, b.name))) {
    hasher.tensor(name, type, shape)
    for await (const step of readSteps(join(folder, file), signal, offset, offset + bytes)) hasher.update(step)
  }
  return hasher.digest()
}

async function weightsHasher(profile: Profile): Promise<WeightsHasher> {
  if (profile.weightsHash === 'xxh3_128') {
    const hash = await createXXHash128()
    hash.init()
    return { tensor: () => {}, update: bytes => hash.update(bytes), digest: () => hash.digest('hex') }
  }
  const hash = createHash('sha256')
  return {
    tensor: (name, type, shape) => hash.update(name, 'utf8').update(`torch.${type}`).update(tupleText(shape)),
    update: bytes => hash.update(bytes),
    digest: () => hash.digest('hex'),
  }
}

/** A shape as Python writes a tuple: `(2, 3)`, `(5,)`, `()`. */
function tupleText(shape: readonly number[]): string {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`
}
