import { z } from 'zod'

/** Versions of the sparse delta format: flat indices (2), rows and columns (3), the same in the narrowest integers (31). */
export const DELTA_VERSIONS = [2, 3, 31] as const
export type DeltaVersion = (typeof DELTA_VERSIONS)[number]

/** `delta_metadata.json.format` → version in the file's header (one-covenant/grail grail/infrastructure/sparse_codec.py, 54d6342). */
export const DELTA_FORMATS: Readonly<Record<string, DeltaVersion>> = {
  sparse_codec_v2: 2,
  sparse_codec_v3: 3,
  'sparse_codec_v3.1': 31,
}

/** Widths of stored indices. */
export type IndexType = 'uint8' | 'uint16' | 'int32'
export const INDEX_BYTES: Readonly<Record<IndexType, number>> = { uint8: 1, uint16: 2, int32: 4 }

const size = z.int().nonnegative()
const indexType = z.enum(['uint8', 'uint16', 'int32'])

const entry = z.object({
  name: z.string(),
  shape: z.array(size),
  num_nonzero: size,
  value_dtype: z.enum(['bfloat16', 'float16', 'float32']),
  row_dtype: indexType.optional(),
  col_dtype: indexType.optional(),
  indices_offset: size,
  indices_size: size,
  rows_size: size.optional(),
  cols_size: size.optional(),
  values_offset: size,
  values_size: size,
})

/** One tensor of a delta file's header; offsets count from the end of the header. */
export type DeltaEntry = z.infer<typeof entry>

export const deltaHeader = z.object({
  version: z.literal(DELTA_VERSIONS),
  tensors: z.array(entry),
})

/** Columns of the two-dimensional view of a shape: the product of all but the first; 1 for vectors and scalars. */
export function columnsOf(shape: readonly number[]): number {
  return Math.max(
    1,
    shape.slice(1).reduce((product, width) => product * width, 1),
  )
}
