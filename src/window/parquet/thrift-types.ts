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
  STRUCT: 12,
} as const
