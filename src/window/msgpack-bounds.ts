/** A staged group has about 50 values; more means that somebody else made the bytes. Also bounds the decoder's recursion. */
const MAX_VALUES = 256

const tooShort = 'it ends early'

/**
 * Walks msgpack without building anything, so that a hostile length costs nothing: exactly one value, at most 256 values in all,
 * no extension types, and no container or string longer than the bytes that are left.
 * @returns what is wrong, or undefined
 */
export function measurePlainMsgpack(bytes: Uint8Array): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = bytes.byteLength
  let at = 0
  let open = 1
  let seen = 0
  while (open > 0) {
    if (at >= end) return tooShort
    if (++seen > MAX_VALUES) return `it holds more than ${MAX_VALUES} values`
    open--
    const kind = view.getUint8(at)
    const size = sizeOf(kind)
    if (size === undefined) return `byte ${at} starts an extension or unused type (0x${kind.toString(16)})`
    if (at + 1 + size.width > end) return tooShort
    const length =
      size.width === 0 || !size.counts
        ? size.length
        : size.width === 1
          ? view.getUint8(at + 1)
          : size.width === 2
            ? view.getUint16(at + 1)
            : view.getUint32(at + 1)
    at += 1 + size.width
    if (size.children > 0) {
      open += length * size.children
      if (open > end - at) return tooShort
    } else if (size.counts || size.width === 0) {
      at += length
      if (at > end) return tooShort
    }
  }
  return at === end ? undefined : `${end - at} bytes follow its end`
}

/** width: bytes of the number behind the type byte; counts: that number is a length; children: values per counted item (0: bytes). */
interface Size {
  width: number
  counts: boolean
  length: number
  children: number
}

const scalar = (width: number): Size => ({ width, counts: false, length: 0, children: 0 })
const short = (length: number, children: number): Size => ({ width: 0, counts: false, length, children })
const long = (width: number, children: number): Size => ({ width, counts: true, length: 0, children })

function sizeOf(kind: number): Size | undefined {
  if (kind <= 0x7f || kind >= 0xe0) return scalar(0)
  if (kind <= 0x8f) return short(kind & 0x0f, 2)
  if (kind <= 0x9f) return short(kind & 0x0f, 1)
  if (kind <= 0xbf) return short(kind & 0x1f, 0)
  return BY_TYPE[kind]
}

const BY_TYPE: Record<number, Size> = {
  192: scalar(0),
  194: scalar(0),
  195: scalar(0),
  196: long(1, 0),
  197: long(2, 0),
  198: long(4, 0),
  202: scalar(4),
  203: scalar(8),
  204: scalar(1),
  205: scalar(2),
  206: scalar(4),
  207: scalar(8),
  208: scalar(1),
  209: scalar(2),
  210: scalar(4),
  211: scalar(8),
  217: long(1, 0),
  218: long(2, 0),
  219: long(4, 0),
  220: long(2, 1),
  221: long(4, 1),
  222: long(2, 2),
  223: long(4, 2),
}
