import { ApiPromise } from '@polkadot/api'
import * as z from 'zod'
import { ChainError } from './chain-error.js'
import { providerOf } from './provider.js'
import { connectRpc, type RpcConnection, type RpcConnectionOptions } from './rpc-connection.js'

/** A connection that has proved to be to the right chain. One generation: never revived once it is gone. */
export interface Link {
  readonly connection: RpcConnection
  readonly genesisHash: string
  /**
   * polkadot-js over this connection, with the runtime's present metadata; made when first needed (340 KB on finney) and
   * anew after a runtime upgrade. Throws ChainError.
   */
  api(signal?: AbortSignal): Promise<ApiPromise>
  specVersion(): number
  close(why: string): void
}

export interface LinkOptions extends RpcConnectionOptions {
  /** Hash of block 0 that the chain must have; undefined takes any. */
  genesis: string | undefined
  /** Name of the runtime that the chain must have. */
  specName: string
  /** Limit for polkadot-js to get ready, ms. */
  readyMs: number
}

const Version = z.looseObject({ specName: z.string(), specVersion: z.number() })

/** Opens a connection and asserts genesis and spec name; throws ChainError, 'other-chain' (never) when they differ. */
export async function openLink(options: LinkOptions): Promise<Link> {
  const connection = await connectRpc(options)
  try {
    return await proved(connection, options)
  } catch (error) {
    connection.close((error as Error).message)
    throw error
  }
}

async function proved(connection: RpcConnection, options: LinkOptions): Promise<Link> {
  const { endpoint, signal } = options
  const genesisHash = z.string().parse(await connection.request('chain_getBlockHash', [0], signal))
  if (options.genesis !== undefined && genesisHash !== options.genesis.toLowerCase()) {
    throw otherChain(`${endpoint} has genesis ${genesisHash}, not the configured ${options.genesis}`)
  }
  let version = Version.parse(await connection.request('state_getRuntimeVersion', [], signal))
  if (version.specName !== options.specName) {
    throw otherChain(`${endpoint} runs ${version.specName}, not ${options.specName}`)
  }
  let made: Promise<ApiPromise> | undefined
  await connection.subscribe('state_subscribeRuntimeVersion', [], value => {
    const now = Version.safeParse(value)
    if (!now.success || now.data.specVersion === version.specVersion) return
    version = now.data
    // its keep-alive timer would outlive it
    made?.then(api => api.disconnect()).catch(() => {})
    made = undefined
  })

  return {
    connection,
    genesisHash,
    specVersion: () => version.specVersion,
    close: why => connection.close(why),
    api: async signal => {
      signal?.throwIfAborted()
      if (!made) {
        const mine = makeApi(connection, options.readyMs)
        made = mine
        mine.catch(() => {
          if (made === mine) made = undefined
        })
      }
      return await unlessAborted(made, signal)
    },
  }
}

/** Waits for what others may wait for too: whoever has no time left goes without it, and it goes on. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return await work
  let abort: (() => void) | undefined
  try {
    return await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        abort = () => reject(signal.reason as Error)
        signal.addEventListener('abort', abort, { once: true })
      }),
    ])
  } finally {
    if (abort) signal.removeEventListener('abort', abort)
  }
}

async function makeApi(connection: RpcConnection, readyMs: number): Promise<ApiPromise> {
  const api = new ApiPromise({ provider: providerOf(connection), noInitWarn: true })
  // errors come by the promise below; without a listener they would end the process
  api.on('error', () => {})
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([
      api.isReadyOrError,
      connection.gone.then(why =>
        Promise.reject(new ChainError('connection', `${connection.endpoint}: ${why}`, 'later')),
      ),
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          reject(new ChainError('timeout', `${connection.endpoint} gave no metadata within ${readyMs} ms`, 'later'))
        }, readyMs)
      }),
    ])
  } catch (error) {
    void api.disconnect().catch(() => {})
    throw error
  } finally {
    clearTimeout(timer)
  }
}

function otherChain(why: string): ChainError {
  return new ChainError('other-chain', `${why}: correct chain.endpoints or chain.genesis`, 'never')
}
