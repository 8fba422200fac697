import type { ApiPromise } from '@polkadot/api'
import type { RpcConnection } from './rpc-connection.js'

/** The transport interface of polkadot-js (its package is not a dependency of its own). */
export type Provider = NonNullable<NonNullable<ConstructorParameters<typeof ApiPromise>[0]>['provider']>

type Emitted = 'connected' | 'disconnected' | 'error'

/**
 * Lets polkadot-js talk over a connection that is ours: it neither opens nor ends it, and never reconnects. News of a
 * runtime upgrade are kept from it: the link throws the whole ApiPromise away instead, so that nothing stale survives.
 */
export function providerOf(connection: RpcConnection): Provider {
  const provider = {
    hasSubscriptions: true,
    isClonable: false,
    get isConnected() {
      return connection.alive
    },
    clone: () => provider,
    connect: async () => {},
    disconnect: async () => {},
    on: (event: Emitted, listener: (value?: unknown) => void) => {
      if (event === 'disconnected') void connection.gone.then(() => listener())
      return () => {}
    },
    send: (method: string, params: unknown[]) => connection.request(method, params),
    subscribe: async (
      type: string,
      method: string,
      params: unknown[],
      callback: (error: Error | null, value: unknown) => void,
    ) => {
      let told = false
      return await connection.subscribe(method, params, value => {
        if (type === 'state_runtimeVersion' && told) return
        told = true
        callback(null, value)
      })
    },
    unsubscribe: (_type: string, method: string, id: number | string) => connection.unsubscribe(method, String(id)),
  }
  return provider as unknown as Provider
}
