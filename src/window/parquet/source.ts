/** Where the bytes of a file come from: memory, a file, a bucket. */
export interface ByteSource {
  /** Size of the whole file. */
  readonly bytes: number
  /** The bytes [from, to), exactly; rejects when they cannot be had. The caller may keep them, not change them. */
  read(from: number, to: number): Promise<Uint8Array>
}

export function bytesSource(bytes: Uint8Array): ByteSource {
  return { bytes: bytes.length, read: async (from, to) => bytes.subarray(from, to) }
}
