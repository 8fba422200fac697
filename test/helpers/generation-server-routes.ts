import type { ServerControl } from './generation-server-control.js'
import type { Refused } from './generation-server-model.js'

/** How the stand-in for a generation server answers one request. */
export interface Reply {
  json(status: number, body: unknown): void
  text(status: number, body: string): void
  /** Begins server-sent events. */
  stream(): void
  event(data: unknown): void
  /** The last event, which is no JSON, and the end. */
  done(): void
  /** Told when the other side hangs up before the answer. */
  onHangUp(then: () => void): void
}

type Route = (given: Record<string, unknown>, reply: Reply, query: URLSearchParams) => void | Promise<void>

/** What one kind of server answers, by method and path. */
export type Routes = {
  /** @param at where in the body the trouble is */
  invalidJson: (at: number) => Refused
  /** Tokens that a request for a completion asks for. */
  size: (given: Record<string, unknown>) => number | undefined
  generates: string
} & { [route: `${'GET' | 'POST'} /${string}`]: Route }

export interface StandInParts {
  folder: string
  version: string
  servedName: string
  contextLength: number
  /** Are the endpoints of vLLM's development mode there? */
  development: boolean
  control: () => ServerControl
  say: (line: string) => void
  /** Holds a request, if `holds`, for as long as the control file says, or until it is aborted or its connection closed. */
  held: (id: string, holds: boolean, reply: Reply) => Promise<'answer' | 'aborted' | 'hung up'>
  /** Ends the held requests whose id begins with this. */
  abort: (prefix: string) => void
}
