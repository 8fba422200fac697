import { portIsFree } from '../../src/engine/server/port.js'

/** Ports tried upwards from the usual one before giving up. */
const TRIES = 50

/**
 * The first free port on loopback from `usual` on, so that a rehearsal starts beside whatever already runs here.
 * Throws when fifty in a row are taken.
 */
export async function freePort(usual: number, taken: ReadonlySet<number>): Promise<number> {
  for (let port = usual; port < usual + TRIES; port++) if (!taken.has(port) && (await portIsFree(port))) return port
  throw new Error(`ports ${usual} to ${usual + TRIES - 1} are all taken on 127.0.0.1: stop what uses them`)
}
