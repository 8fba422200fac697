/** Field and element types of Thrift's compact protocol (apache/thrift doc/specs/thrift-compact-protocol.md). */
export const THRIFT = {
  TRUE: 1,
  FALSE: 2,
  I8: 3,
  I16: 4,
  I32: 5,
  I64: 6,
  DOUBLE: 7,
  BINARY: 8,
  LIST: 9,
  SET: 10,
  MAP: 11,
  STRUCT: 12,
} as const

export type ThriftValue = boolean | number | bigint | Uint8Array | ThriftList | ThriftStruct
export interface ThriftList {
  of: number
  items: ThriftValue[]
}
/** Fields by id, in the order they were read; unknown ids survive a round trip. */
export type ThriftStruct = Map<number, { type: number; value: ThriftValue }>

/** A Parquet footer nests about ten deep. */
const MAX_DEPTH = 32

/**
 * Reads one struct of the compact protocol. Integers become bigint (i16, i32, i64), binary becomes a view of the source.
 * Every length is compared with the bytes left before anything is built, so the tree is at most a few times the source's size.
 * @throws Error when the bytes are no such struct
 */
export function readThrift(bytes: Uint8Array): { value: ThriftStruct; end: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  const byte = () => {
    if (at >= bytes.length) throw new Error('thrift ends early')
    return view.getUint8(at++)
  }
  const varint = () => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const part = byte()
      value |= BigInt(part & 0x7f) << shift
      if (part < 0x80) return value
    }
    throw new Error('thrift integer is longer than 64 bits')
  }
  const integer = () => {
    const raw = varint()
    return (raw >> 1n) ^ -(raw & 1n)
  }
  const length = () => {
    const value = varint()
    if (value > BigInt(bytes.length - at))
      throw new Error(`thrift length ${value} exceeds the ${bytes.length - at} bytes left`)
    return Number(value)
  }
  const read = (type: number, depth: number, inList: boolean): ThriftValue => {
    if (depth > MAX_DEPTH) throw new Error(`thrift is nested more than ${MAX_DEPTH} deep`)
    switch (type) {
      case THRIFT.TRUE:
      case THRIFT.FALSE:
        return inList ? byte() === 1 : type === THRIFT.TRUE
      case THRIFT.I8:
        return byte()
      case THRIFT.I16:
      case THRIFT.I32:
      case THRIFT.I64:
        return integer()
      case THRIFT.DOUBLE: {
        if (at + 8 > bytes.length) throw new Error('thrift ends early')
        const value = view.getFloat64(at, true)
        at += 8
        return value
      }
      case THRIFT.BINARY: {
        const size = length()
        at += size
        return bytes.subarray(at - size, at)
      }
      case THRIFT.LIST:
      case THRIFT.SET: {
        const head = byte()
        const size = head >> 4 === 15 ? length() : head >> 4
        const list: ThriftList = { of: head & 0x0f, items: [] }
        for (let i = 0; i < size; i++) list.items.push(read(list.of, depth + 1, true))
        return list
      }
      case THRIFT.STRUCT: {
        const fields: ThriftStruct = new Map()
        let id = 0
        for (;;) {
          const head = byte()
          if (head === 0) return fields
          id = head >> 4 === 0 ? Number(integer()) : id + (head >> 4)
          fields.set(id, { type: head & 0x0f, value: read(head & 0x0f, depth + 1, false) })
        }
      }
      default:
        throw new Error(`thrift type ${type} has no place in a Parquet footer`)
    }
  }
  const value = read(THRIFT.STRUCT, 0, false) as ThriftStruct
  return { value, end: at }
}

/** The compact-protocol bytes of a struct; fields go out by ascending id. */
export function writeThrift(struct: ThriftStruct): Uint8Array {
  let bytes = new Uint8Array(65_536)
  let at = 0
  const room = (size: number) => {
    if (at + size <= bytes.length) return
    const larger = new Uint8Array(Math.max(bytes.length * 2, at + size))
    larger.set(bytes.subarray(0, at))
    bytes = larger
  }
  const byte = (value: number) => {
    room(1)
    bytes[at++] = value
  }
  const varint = (value: bigint) => {
    let rest = value
    while (rest > 0x7fn) {
      byte(Number(rest & 0x7fn) | 0x80)
      rest >>= 7n
    }
    byte(Number(rest))
  }
  const integer = (value: bigint) => varint(BigInt.asUintN(64, (value << 1n) ^ (value >> 63n)))
  const write = (type: number, value: ThriftValue, inList: boolean): void => {
    switch (type) {
      case THRIFT.TRUE:
      case THRIFT.FALSE:
        if (inList) byte(value ? 1 : 2)
        return
      case THRIFT.I8:
        byte(value as number)
        return
      case THRIFT.I16:
      case THRIFT.I32:
      case THRIFT.I64:
        integer(value as bigint)
        return
      case THRIFT.DOUBLE:
        room(8)
        new DataView(bytes.buffer).setFloat64(at, value as number, true)
        at += 8
        return
      case THRIFT.BINARY: {
        const binary = value as Uint8Array
        varint(BigInt(binary.length))
        room(binary.length)
        bytes.set(binary, at)
        at += binary.length
        return
      }
      case THRIFT.LIST:
      case THRIFT.SET: {
        const { of, items } = value as ThriftList
        if (items.length < 15) byte((items.length << 4) | of)
        else {
          byte(0xf0 | of)
          varint(BigInt(items.length))
        }
        for (const item of items) write(of, item, true)
        return
      }
      case THRIFT.STRUCT: {
        let previous = 0
        for (const [id, field] of [...(value as ThriftStruct)].sort(([a], [b]) => a - b)) {
          const step = id - previous
          if (step > 0 && step <= 15) byte((step << 4) | field.type)
          else {
            byte(field.type)
            integer(BigInt(id))
          }
          write(field.type, field.value, false)
          previous = id
        }
        byte(0)
        return
      }
      default:
        throw new Error(`thrift type ${type} cannot be written`)
    }
  }
  write(THRIFT.STRUCT, struct, false)
  return bytes.subarray(0, at)
}
