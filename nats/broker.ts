import type { JetStreamClient, JetStreamManager, NatsConnection } from 'nats'
import type { Isolation } from './isolation.js'
import type { BrokerStatus } from './status.js'

export interface BrokerInfo {
  version: string
  /** Bytes, headers included. */
  maxPayload: number
  serverName: string
  /** Where this connection goes now, host:port. */
  server: string
  /** Whether this very server runs JetStream. */
  jetStream: boolean
}

/** One connection to the broker; one per process (and a second one for large blobs, where they would hold up small messages). */
export interface Broker {
  readonly nc: NatsConnection
  readonly js: JetStreamClient
  readonly jsm: JetStreamManager
  /** Of the server this connection goes to now. */
  readonly info: BrokerInfo
  /** Whether the connection stands at this moment. What is sent while it does not is lost, not kept. */
  readonly connected: boolean
  /** Whatever asks JetStream asks through it: where nothing is answered any more, another server is connected to. */
  readonly isolation: Isolation
  /** What happens to the connection from now on; ends with 'closed' or when the signal comes. */
  status(signal: AbortSignal): AsyncIterable<BrokerStatus>
  /** Like `status`, as a callback; returns how to stop it. */
  listen(listener: (status: BrokerStatus) => void): () => void
  /** Delivers what is under way, then closes; within `withinMs` (default 2 s) even when the broker is gone. */
  drain(withinMs?: number): Promise<void>
}
