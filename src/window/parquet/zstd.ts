import { Decompress, decompress } from 'fzstd'

const MAGIC = 0xfd2fb528
/** Largest window libzstd accepts unless told otherwise, bytes; the decoder allocates it. */
const MAX_WINDOW = 128 * 1024 * 1024

/**
 * Decompresses zstd into exactly `size` bytes. The decoder believes sizes it is told, so they are read first: a single frame that
 * announces `size` is decoded in one go; anything else block by block, until it has given more than `size`.
 * @throws Error when it is damaged, or comes out larger or smaller
 */
export function unzstd(bytes: Uint8Array, size: number): Uint8Array {
  const frame = frameOf(bytes)
  if (frame.contentSize === size && frame.end === bytes.length) return decompress(bytes)
  if (frame.contentSize !== undefined && frame.contentSize > size)
    throw new Error(`a zstd frame of ${frame.contentSize} bytes for a page of ${size}`)
  const page = new Uint8Array(size)
  let filled = 0
  const decoder = new Decompress(piece => {
    if (filled + piece.length > size) throw new Error(`zstd gives more than the ${size} bytes of the page`)
    page.set(piece, filled)
    filled += piece.length
  })
  for (let at = 0; at < bytes.length; ) {
    const { end } = frameOf(bytes.subarray(at))
    decoder.push(bytes.subarray(at, at + end), at + end === bytes.length)
    at += end
  }
  if (filled !== size) throw new Error(`zstd gives ${filled} bytes for a page of ${size}`)
  return page
}

/** Walks one frame's headers (RFC 8878, 3.1.1). */
function frameOf(bytes: Uint8Array): { contentSize: number | undefined; end: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  try {
    if (view.getUint32(0, true) !== MAGIC) throw new Error('not a zstd frame')
    const descriptor = view.getUint8(4)
    const single = (descriptor >> 5) & 1
    const sizeField = descriptor >> 6
    let at = 5
    let window = 0
    if (!single) {
      const window8 = view.getUint8(at++)
      window = 2 ** (10 + (window8 >> 3)) * (1 + (window8 & 7) / 8)
    }
    at += [0, 1, 2, 4][descriptor & 3] as number
    let contentSize: number | undefined
    if (sizeField === 0 && single) contentSize = view.getUint8(at)
    else if (sizeField === 1) contentSize = view.getUint16(at, true) + 256
    else if (sizeField === 2) contentSize = view.getUint32(at, true)
    else if (sizeField === 3) contentSize = Number(view.getBigUint64(at, true))
    at += sizeField === 0 ? single : 1 << sizeField
    if (Math.max(window, single ? (contentSize ?? 0) : 0) > MAX_WINDOW)
      throw new Error(`a zstd window of ${window} bytes`)
    for (let isLast = false; !isLast; ) {
      const header = view.getUint8(at) | (view.getUint8(at + 1) << 8) | (view.getUint8(at + 2) << 16)
      isLast = (header & 1) === 1
      const isRun = ((header >> 1) & 3) === 1
      at += 3 + (isRun ? 1 : header >> 3)
    }
    if ((descriptor >> 2) & 1) at += 4
    if (at > bytes.length) throw new Error('a zstd frame ends early')
    return { contentSize, end: at }
  } catch (error) {
    throw error instanceof RangeError ? new Error('a zstd frame ends early') : error
  }
}
