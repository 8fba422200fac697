import { portIsFree } from '../../src/engine/server/port.js'

/**
 * Where free ports are looked for: below those the kernel gives to whoever asks for any (32768 and up), so that a port that is
 * given up for a while, as that of a server that is restarted, is still free afterwards. Each process begins elsewhere.
 */
const FIRST_PORT = 10_000
const PORTS = 20_000
const PORTS_OF_A_PROCESS = 64
let nextPort = (process.pid * PORTS_OF_A_PROCESS) % PORTS

/** A port nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < PORTS; tried++) {
    const port = FIRST_PORT + (nextPort++ % PORTS)
    if (await portIsFree(port)) return port
  }
  throw new Error('no port')
}
