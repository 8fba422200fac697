/** Bits that hold every value up to `max`. */
export function bitWidthOf(max: number): number {
  return max === 0 ? 0 : 32 - Math.clz32(max)
}

/**
 * Parquet's RLE / bit-packed hybrid (parquet-format Encodings.md): fills `out` with unsigned values of `width` bits from bytes [at, end).
 * @param width 0–32
 * @throws Error when the bytes end before `out` is full
 */
export function readHybrid(
  bytes: Uint8Array,
  start: number,
  end: number,
  width: number,
  out: Uint8Array | Int32Array,
): void {
  if (width > 32) throw new Error(`values of ${width} bits do not exist`)
  if (width === 0) {
    out.fill(0)
    return
  }
  const valueBytes = (width + 7) >> 3
  let at = start
  let filled = 0
  while (filled < out.length) {
    let header = 0
    for (let shift = 0; ; shift += 7) {
      if (at >= end || shift > 28) throw new Error('a run ends early')
      const byte = bytes[at++] as number
      header += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) break
    }
    const count = Math.floor(header / 2)
    if (count === 0) throw new Error('a run of nothing')
    if (header % 2 === 0) {
      if (at + valueBytes > end) throw new Error('a run ends early')
      let value = 0
      for (let i = 0; i < valueBytes; i++) value |= (bytes[at + i] as number) << (8 * i)
      at += valueBytes
      const to = Math.min(out.length, filled + count)
      out.fill(value, filled, to)
      filled = to
    } else {
      const wanted = Math.min(count * 8, out.length - filled)
      if (at + Math.ceil((wanted * width) / 8) > end) throw new Error('a run ends early')
      unpack(bytes, at, width, out, filled, wanted)
      at += count * width
      filled += wanted
    }
  }
}

/** Bit-packed values, least significant bit first. */
function unpack(
  bytes: Uint8Array,
  start: number,
  width: number,
  out: Uint8Array | Int32Array,
  from: number,
  count: number,
): void {
  const mask = width === 32 ? 0xffff_ffff : 2 ** width - 1
  if (width > 24) {
    for (let i = 0, bit = 0; i < count; i++, bit += width) {
      const at = start + (bit >>> 3)
      let value = 0
      for (let b = 0; b < 5; b++) value += (bytes[at + b] ?? 0) * 2 ** (8 * b)
      out[from + i] = Math.floor(value / 2 ** (bit & 7)) % 2 ** width
    }
    return
  }
  let at = start
  let held = 0
  let bits = 0
  for (let i = 0; i < count; i++) {
    while (bits < width) {
      held |= (bytes[at++] as number) << bits
      bits += 8
    }
    out[from + i] = held & mask
    held >>>= width
    bits -= width
  }
}
