import type { Broker } from './broker.js'
import { BrokerError, isBrokerError } from './errors.js'
import { api } from './request.js'

export interface Needs {
  /** Oldest server accepted. */
  minimumVersion?: string
  /** Smallest max_payload accepted, bytes. */
  minimumPayload?: number
}

/** Streams, work queues, deduplication and direct gets were tested from here on. */
const MINIMUM_VERSION = '2.9.0'
const MINIMUM_PAYLOAD_BYTES = 4 * 1024 * 1024
/** What we advise: above it the server warns. */
const ADVISED_PAYLOAD_BYTES = 8 * 1024 * 1024

/** Below 0 when `a` is older than `b`. Three numbers count: a pre-release is its release. */
export function compareVersions(a: string, b: string): number {
  const numbers = (version: string) => (version.match(/\d+/g) ?? []).slice(0, 3).map(Number)
  const [x, y] = [numbers(a), numbers(b)]
  for (let i = 0; i < 3; i++) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/**
 * Refuses a broker that cannot do the work, with one sentence that names the cure.
 * Throws BrokerError 'too-old', 'max-payload', 'no-jetstream', or 'timeout' when its JetStream does not answer.
 */
export async function refuseUnfit(
  broker: Broker,
  needs: Needs,
  patience: { signal: AbortSignal; giveUpAfterMs: number },
): Promise<void> {
  const { version, server, maxPayload, jetStream } = broker.info
  const where = `NATS ${version} at ${server}`
  const { minimumVersion = MINIMUM_VERSION, minimumPayload = MINIMUM_PAYLOAD_BYTES } = needs
  if (compareVersions(version, minimumVersion) < 0)
    throw new BrokerError('too-old', `${where} is too old: install nats-server ${minimumVersion} or newer`)
  if (maxPayload < minimumPayload) {
    const cure = `set max_payload: ${Math.max(minimumPayload, ADVISED_PAYLOAD_BYTES)} in its configuration`
    throw new BrokerError(
      'max-payload',
      `${where} takes messages of up to ${maxPayload} bytes, ${minimumPayload} are needed: ${cure}`,
    )
  }
  try {
    // A server without JetStream may still pass the question on to one of its cluster that has it; alone it cannot.
    await api(broker, 'INFO', undefined, jetStream ? patience : { ...patience, giveUpAfterMs: 0 })
  } catch (e) {
    if (!isBrokerError(e, 'no-responders') && !isBrokerError(e, 'no-jetstream')) throw e
    throw new BrokerError('no-jetstream', `${where} runs without JetStream: add a jetstream block to its configuration`)
  }
}
