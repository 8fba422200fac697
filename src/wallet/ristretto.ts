import { createRequire } from 'node:module'
import type { LibraryHandle } from 'koffi'

/** The group of prime order in which sr25519 signs. Scalars and points are 32 bytes, which nothing checks; results are written into the first argument. */
export interface Ristretto {
  /** `point` = scalar · base point; takes the same time for every scalar. Throws an Error for the scalar 0. */
  multiplyBase(point: Uint8Array, scalar: Uint8Array): void
  /** `scalar` = 64 bytes, little-endian, modulo the group's order. */
  reduce(scalar: Uint8Array, wide: Uint8Array): void
  /** `scalar` may be one of the factors. */
  multiply(scalar: Uint8Array, a: Uint8Array, b: Uint8Array): void
  add(scalar: Uint8Array, a: Uint8Array, b: Uint8Array): void
}

/** libsodium 1.0.18 (Debian 12: package libsodium23), and from 1.0.19 on. Which interface a name stands for does not change. */
const LIBRARIES = ['libsodium.so.23', 'libsodium.so.26']

let found: { ristretto: Ristretto | undefined } | undefined

/** libsodium's ristretto255, as machine code; undefined on a host that lacks the library or koffi's build. Looked for once. */
export function nativeRistretto(): Ristretto | undefined {
  found ??= { ristretto: load() }
  return found.ristretto
}

function load(): Ristretto | undefined {
  const require = createRequire(import.meta.url)
  for (const library of LIBRARIES) {
    try {
      return ristrettoOf((require('koffi') as typeof import('koffi')).load(library))
    } catch {
      // The next one, or none.
    }
  }
  return undefined
}

function ristrettoOf(sodium: LibraryHandle): Ristretto | undefined {
  // Chooses the fastest code for the processor; 1: somebody has done so already.
  if (sodium.func('int sodium_init()')() < 0) return undefined
  const multiplyBase = sodium.func('int crypto_scalarmult_ristretto255_base(void *point, const void *scalar)')
  return {
    multiplyBase: (point, scalar) => {
      if (multiplyBase(point, scalar) !== 0) throw new Error('0 is not a scalar to multiply by')
    },
    reduce: sodium.func('void crypto_core_ristretto255_scalar_reduce(void *scalar, const void *wide)'),
    multiply: sodium.func('void crypto_core_ristretto255_scalar_mul(void *scalar, const void *a, const void *b)'),
    add: sodium.func('void crypto_core_ristretto255_scalar_add(void *scalar, const void *a, const void *b)'),
  }
}
