/** The double a bf16 bit pattern stands for. */
export function fromBf16(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!
}

/** Rows of little-endian bf16 values, float32[rows][width]. */
export function bf16Rows(hex: string, width: number): Float32Array[] {
  const bytes = Buffer.from(hex, 'hex')
  return Array.from({ length: bytes.length / 2 / width }, (_, row) =>
    Float32Array.from({ length: width }, (_, column) => fromBf16(bytes.readUInt16LE(2 * (row * width + column)))),
  )
}
