import type { Ask } from './dialect.js'
import { askServer, type ServerAddress } from './http.js'

/** For a question without a limit of its own, ms. */
const ASK_MS = 60_000

/** Questions to one server, given up with the signal. */
export function askAt(address: ServerAddress, signal: AbortSignal): Ask {
  return (method, path, body, timeoutMs = ASK_MS) => askServer(address, method, path, body, { timeoutMs, signal })
}
