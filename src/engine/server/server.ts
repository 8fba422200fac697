import type { ServerAddress } from './http.js'

/**
 * stopped → starting → ready ⇄ degraded → restarting → starting …; failed when the crash budget is used up.
 * degraded: it was well and does not answer now; groups in flight go on, new ones have to wait.
 */
export type ServerState = 'stopped' | 'starting' | 'ready' | 'degraded' | 'restarting' | 'failed'

/** A program with its arguments and its whole environment; nothing is inherited. */
export interface Launch {
  program: string
  args: string[]
  env: Record<string, string>
}

export interface UpServer extends ServerAddress {
  /** Grows with every start: what was found out about one process says nothing about the next. */
  incarnation: number
}

/** A generation server that is started and looked after, or was found running. */
export interface GenerationServer {
  /** Is it ours to start and end? */
  readonly owned: boolean
  state(): { state: ServerState; reason: string }
  /** @throws EngineError 'later' while it is not ready, 'never' when it was given up */
  up(): UpServer
  /** Starts it, in place of what runs; resolves when it has generated. @throws EngineError; the signal's reason */
  start(launch: (port: number) => Launch, signal: AbortSignal): Promise<void>
  /** What later restarts use; nothing happens now. */
  relaunchWith(launch: (port: number) => Launch): void
  /** Somebody got no answer, or a wrong one: it is looked at now rather than in its turn. */
  suspect(reason: string): void
  /** Somebody got a good answer: it need not be asked how it is. */
  well(): void
  /** Ends the whole process group of one that is ours; idempotent. */
  stop(): Promise<void>
}
