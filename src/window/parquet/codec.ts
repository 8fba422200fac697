import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { snappyUncompress } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import type { Codec } from './read-footer.js'
import { unzstd } from './zstd.js'

/**
 * A page's bytes, which must come out as exactly `size`: never more memory than that is filled, whatever the compressed bytes claim.
 * @throws Error when they are damaged, of another size, or of a codec nobody uses (LZO)
 */
export function decompress(codec: Codec, bytes: Uint8Array, size: number): Uint8Array {
  switch (codec) {
    case 'UNCOMPRESSED':
      return exactly(bytes, size)
    case 'ZSTD':
      return exactly(unzstd(bytes, size), size)
    case 'SNAPPY': {
      const page = new Uint8Array(size)
      snappyUncompress(bytes, page)
      return page
    }
    case 'GZIP':
      return exactly(gunzipSync(bytes, { maxOutputLength: Math.max(1, size) }), size)
    case 'BROTLI':
      return exactly(brotliDecompressSync(bytes, { maxOutputLength: Math.max(1, size) }), size)
    case 'LZ4':
    case 'LZ4_RAW': {
      const page = compressors[codec]?.(bytes, size)
      if (!page) throw new Error(`codec ${codec} is not read here`)
      return exactly(page, size)
    }
    default:
      throw new Error(`codec ${codec} is not read here`)
  }
}

function exactly(page: Uint8Array, size: number): Uint8Array {
  if (page.length !== size) throw new Error(`a page of ${size} bytes came out as ${page.length}`)
  return page
}
