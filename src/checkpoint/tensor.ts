/** Element types of model weights, as torch names them. */
export type TensorType = 'bfloat16' | 'float16' | 'float32'

/** Bytes per element. */
export const ELEMENT_BYTES: Readonly<Record<TensorType, number>> = { bfloat16: 2, float16: 2, float32: 4 }

/** A tensor as raw bytes: row-major, little-endian. */
export interface Tensor {
  type: TensorType
  shape: readonly number[]
  bytes: Uint8Array
}

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}
