/** A JSON-RPC error as a node answers it. */
export class RpcError extends Error {
  readonly code: number
  readonly data: string | undefined
  constructor(code: number, message: string, data?: string) {
    super(message)
    this.name = 'RpcError'
    this.code = code
    this.data = data
  }
}

/** JSON-RPC: the params do not fit the method. */
export const INVALID_PARAMS = -32602

/** JSON-RPC: no such method. */
export const METHOD_NOT_FOUND = -32601

/** Substrate: a state that was pruned or never existed. */
export const UNKNOWN_BLOCK = 4003
