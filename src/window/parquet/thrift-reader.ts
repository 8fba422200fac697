import { THRIFT } from './thrift-types.js'

/** The bytes are not what Thrift's compact protocol allows: damaged, cut short or hostile. */
export class ThriftError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ThriftError'
  }
}

export const isInteger = (type: number): boolean => type === THRIFT.I16 || type === THRIFT.I32 || type === THRIFT.I64
export const isBinary = (type: number): boolean => type === THRIFT.BINARY
export const isList = (type: number): boolean => type === THRIFT.LIST || type === THRIFT.SET
export const isStruct = (type: number): boolean => type === THRIFT.STRUCT

/** Parquet's own structures nest about ten deep. */
const MAX_DEPTH = 32

/**
 * Reads Thrift's compact protocol in place: nothing is built but what the caller asks for, every length is compared with the bytes
 * that are left, and skipping costs no memory. Throws ThriftError.
 */
export class ThriftReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at: number
  #depth = 0

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = at
  }

  /** Offset of the next byte. */
  get at(): number {
    return this.#at
  }

  /**
   * Calls `onField` for every field of a struct; a field that it does not read (returns false) is skipped, as Thrift's own readers skip
   * a known field of an unexpected type.
   */
  struct(onField: (id: number, type: number) => boolean): void {
    if (++this.#depth > MAX_DEPTH) throw new ThriftError(`thrift is nested more than ${MAX_DEPTH} deep`)
    let id = 0
    for (;;) {
      const head = this.#byte()
      if (head === 0) break
      id = head >> 4 === 0 ? Number(this.integer()) : id + (head >> 4)
      if (!onField(id, head & 0x0f)) this.skip(head & 0x0f)
    }
    this.#depth--
  }

  /** Calls `onItem` for every item of a list or set; an item that it does not read (returns false) is skipped. */
  list(onItem: (type: number, index: number, size: number) => boolean): void {
    if (++this.#depth > MAX_DEPTH) throw new ThriftError(`thrift is nested more than ${MAX_DEPTH} deep`)
    const head = this.#byte()
    const size = head >> 4 === 15 ? this.#length() : head >> 4
    const type = head & 0x0f
    for (let i = 0; i < size; i++) if (!onItem(type, i, size)) this.skip(type, true)
    this.#depth--
  }

  /** i16, i32 or i64. */
  integer(): bigint {
    const raw = this.#varint()
    return (raw >> 1n) ^ -(raw & 1n)
  }

  /** An integer that has to fit a JavaScript number. */
  number(): number {
    const value = Number(this.integer())
    if (!Number.isSafeInteger(value)) throw new ThriftError(`thrift integer ${value} is beyond 2^53`)
    return value
  }

  byte(): number {
    return this.#byte()
  }

  double(): number {
    this.#need(8)
    this.#at += 8
    return this.#view.getFloat64(this.#at - 8, true)
  }

  /** A view, not a copy. */
  binary(): Uint8Array {
    const size = this.#length()
    this.#at += size
    return this.#bytes.subarray(this.#at - size, this.#at)
  }

  /** true and false are their own types in a struct, and one byte in a list. */
  boolean(type: number, inList: boolean): boolean {
    return inList ? this.#byte() === 1 : type === THRIFT.TRUE
  }

  skip(type: number, inList = false): void {
    switch (type) {
      case THRIFT.TRUE:
      case THRIFT.FALSE:
        this.boolean(type, inList)
        return
      case THRIFT.I8:
        this.#byte()
        return
      case THRIFT.I16:
      case THRIFT.I32:
      case THRIFT.I64:
        this.#varint()
        return
      case THRIFT.DOUBLE:
        this.double()
        return
      case THRIFT.BINARY:
        this.binary()
        return
      case THRIFT.LIST:
      case THRIFT.SET:
        this.list(() => false)
        return
      case THRIFT.STRUCT:
        this.struct(() => false)
        return
      default:
        throw new ThriftError(`thrift type ${type} has no place in Parquet`)
    }
  }

  #byte(): number {
    this.#need(1)
    return this.#bytes[this.#at++] as number
  }

  #varint(): bigint {
    let low = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const part = this.#byte()
      low |= (part & 0x7f) << shift
      if (part < 0x80) return BigInt(low)
    }
    let value = BigInt(low)
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const part = this.#byte()
      value |= BigInt(part & 0x7f) << shift
      if (part < 0x80) return BigInt.asUintN(64, value)
    }
    throw new ThriftError('thrift integer is longer than 64 bits')
  }

  #length(): number {
    const value = this.#varint()
    const left = this.#bytes.length - this.#at
    if (value > BigInt(left)) throw new ThriftError(`thrift length ${value} exceeds the ${left} bytes left`)
    return Number(value)
  }

  #need(size: number): void {
    if (this.#at + size > this.#bytes.length) throw new ThriftError('thrift ends early')
  }
}
