import { ThriftReader } from './thrift-reader.js'
import { THRIFT } from './thrift-types.js'

export type ThriftValue = boolean | number | bigint | Uint8Array | ThriftList | ThriftStruct
export interface ThriftList {
  of: number
  items: ThriftValue[]
}
/** Fields by id, in the order they were read; unknown ids survive a round trip. */
export type ThriftStruct = Map<number, { type: number; value: ThriftValue }>

/**
 * Reads one struct as a tree. Integers become bigint, binary a view of the source. For footers that our own encoder made: the tree is
 * many times the size of its bytes.
 * @throws ThriftError when the bytes are no such struct
 */
export function readThrift(bytes: Uint8Array): ThriftStruct {
  return readThriftAt(bytes, 0).struct
}

/** The struct that begins at `at`, and where it ends. */
export function readThriftAt(bytes: Uint8Array, at: number): { struct: ThriftStruct; end: number } {
  const reader = new ThriftReader(bytes, at)
  const value = (type: number, inList: boolean): ThriftValue => {
    switch (type) {
      case THRIFT.TRUE:
      case THRIFT.FALSE:
        return reader.boolean(type, inList)
      case THRIFT.I8:
        return reader.byte()
      case THRIFT.DOUBLE:
        return reader.double()
      case THRIFT.BINARY:
        return reader.binary()
      case THRIFT.LIST:
      case THRIFT.SET: {
        const list: ThriftList = { of: 0, items: [] }
        reader.list(of => {
          list.of = of
          list.items.push(value(of, true))
          return true
        })
        return list
      }
      case THRIFT.STRUCT:
        return struct()
      default:
        return reader.integer()
    }
  }
  const struct = (): ThriftStruct => {
    const fields: ThriftStruct = new Map()
    reader.struct((id, type) => {
      fields.set(id, { type, value: value(type, false) })
      return true
    })
    return fields
  }
  return { struct: struct(), end: reader.at }
}

/** A footer's row groups take some kilobytes each. */
const ROOM_BYTES = 65_536

/**
 * The compact-protocol bytes of a struct; fields go out by ascending id.
 * @param roomBytes what it takes at a guess
 */
export function writeThrift(struct: ThriftStruct, roomBytes = ROOM_BYTES): Uint8Array {
  let bytes = new Uint8Array(roomBytes)
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
