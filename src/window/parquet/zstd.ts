import { decompressZstd } from 'hyparquet-compressors'

const MAGIC = 0xfd2fb528
/** Most bytes one block can give (RFC 8878, 3.1.1.2.4). */
const MAX_BLOCK_BYTES = 128 * 1024
/** Largest window of a frame that does not announce its size, bytes; the decoder allocates it. Level 1 takes 512 KiB. */
const MAX_WINDOW = 8 * 1024 * 1024

/**
 * Decompresses zstd into exactly `size` bytes. The decoder believes what it is told, so the frames' headers are read first: a frame
 * must announce no more than `size`, or have so few blocks that it cannot give much more.
 * @throws Error when it is damaged, or comes out larger or smaller
 */
export function unzstd(bytes: Uint8Array, size: number): Uint8Array {
  let most = 0
  for (let at = 0; at < bytes.length; ) {
    const frame = frameOf(bytes.subarray(at))
    if (frame.contentSize === undefined && frame.window > MAX_WINDOW)
      throw new Error(`a zstd window of ${frame.window} bytes`)
    most += frame.contentSize ?? frame.blocks * MAX_BLOCK_BYTES
    // Writers fill their blocks; twice the size leaves room for those that do not.
    if ((frame.contentSize ?? 0) > size || most > 2 * size + 32 * MAX_BLOCK_BYTES)
      throw new Error(`zstd frames of up to ${most} bytes for a page of ${size}`)
    at += frame.bytes
  }
  const page = decompressZstd(bytes)
  if (page.length !== size) throw new Error(`zstd gives ${page.length} bytes for a page of ${size}`)
  return page
}

interface Frame {
  contentSize: number | undefined
  window: number
  blocks: number
  bytes: number
}

/** Walks one frame's headers (RFC 8878, 3.1.1). */
function frameOf(bytes: Uint8Array): Frame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  try {
    if (view.getUint32(0, true) !== MAGIC) throw new Error('not a zstd frame')
    const descriptor = view.getUint8(4)
    const single = (descriptor >> 5) & 1
    const sizeField = descriptor >> 6
    let at = 5
    let window = 0
    if (!single) {
      const exponentAndMantissa = view.getUint8(at++)
      window = 2 ** (10 + (exponentAndMantissa >> 3)) * (1 + (exponentAndMantissa & 7) / 8)
    }
    at += [0, 1, 2, 4][descriptor & 3] as number
    let contentSize: number | undefined
    if (sizeField === 0 && single) contentSize = view.getUint8(at)
    else if (sizeField === 1) contentSize = view.getUint16(at, true) + 256
    else if (sizeField === 2) contentSize = view.getUint32(at, true)
    else if (sizeField === 3) contentSize = Number(view.getBigUint64(at, true))
    at += sizeField === 0 ? single : 1 << sizeField
    let blocks = 0
    for (let isLast = false; !isLast; blocks++) {
      const header = view.getUint8(at) | (view.getUint8(at + 1) << 8) | (view.getUint8(at + 2) << 16)
      isLast = (header & 1) === 1
      const isRun = ((header >> 1) & 3) === 1
      at += 3 + (isRun ? 1 : header >> 3)
    }
    if ((descriptor >> 2) & 1) at += 4
    if (at > bytes.length) throw new Error('a zstd frame ends early')
    return { contentSize, window, blocks, bytes: at }
  } catch (error) {
    throw error instanceof RangeError ? new Error('a zstd frame ends early') : error
  }
}
