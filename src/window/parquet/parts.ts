import { createHash } from 'node:crypto'

/** One piece of a file on its way to a multipart upload. */
export interface Part {
  /** Counted from 1, as S3 does. */
  number: number
  bytes: Uint8Array
  last: boolean
}

/**
 * Cuts a stream of bytes into parts of exactly `partBytes` bytes, except the last (Cloudflare R2 refuses a multipart upload whose
 * other parts differ in size), and keeps count and SHA-256 of the whole. Holds at most one unfinished part plus what was just added.
 */
export class PartCutter {
  readonly #partBytes: number
  readonly #hash = createHash('sha256')
  #open: Uint8Array | undefined
  #filled = 0
  #parts = 0
  #bytes = 0

  /** @param partBytes at least 1; S3 and R2 want 5 MiB or more when there is more than one part */
  constructor(partBytes: number) {
    if (!Number.isInteger(partBytes) || partBytes < 1) throw new RangeError(`a part cannot have ${partBytes} bytes`)
    this.#partBytes = partBytes
  }

  /** Bytes added so far. */
  get bytes(): number {
    return this.#bytes
  }

  get parts(): number {
    return this.#parts
  }

  /** Parts that became full. A full part waits for one more byte, because it could still be the last one. */
  add(bytes: Uint8Array): Part[] {
    this.#hash.update(bytes)
    this.#bytes += bytes.length
    const full: Part[] = []
    let at = 0
    while (at < bytes.length) {
      if (this.#filled === this.#partBytes) full.push(this.#cut(false))
      const step = Math.min(this.#partBytes - this.#filled, bytes.length - at)
      this.#open ??= new Uint8Array(this.#partBytes)
      this.#open.set(bytes.subarray(at, at + step), this.#filled)
      this.#filled += step
      at += step
    }
    return full
  }

  /** The last part and the SHA-256 (hex) of everything. */
  finish(): { part: Part; sha256: string } {
    return { part: this.#cut(true), sha256: this.#hash.digest('hex') }
  }

  #cut(last: boolean): Part {
    const bytes = this.#open?.subarray(0, this.#filled) ?? new Uint8Array()
    const part = { number: ++this.#parts, bytes, last }
    this.#open = undefined
    this.#filled = 0
    return part
  }
}
