import { join } from 'node:path'
import { renderServerConfig } from '../../nats/server.js'
import { packageRoot } from '../../src/package-root.js'
import { ConfigError } from '../config/config-error.js'
import { type LoadedConfig, pathFrom } from '../config/load.js'
import type { HostConfig } from '../config/schema.js'
import { natsPassword } from '../from-inventory.js'
import { type Machine, UNSEEN } from './machine.js'
import { type Probe, probeNuma } from './numa.js'
import { placeGenerators } from './placement.js'
import { type LocalProgram, renderSupervisor } from './supervisord.js'

const DEFAULT_NATS_PORT = 4222
const CLUSTER_PORT_OFFSET = 2000

/** Folder of a fleet's logs, sockets and stores. */
export function stateFolder({ config, folder }: LoadedConfig): string {
  return pathFrom(folder, config.fleet.state)
}

/** The program as supervisord starts it. */
export function programPath(): string {
  return join(packageRoot, 'dist', 'supervisor', 'main.js')
}

/**
 * supervisord.conf of a host.
 * @throws ConfigError when a generator does not fit the machine
 */
export function supervisorText(
  loaded: LoadedConfig,
  host: HostConfig,
  local: LocalProgram[] = [],
  machine: Machine = UNSEEN,
): string {
  const probes = new Map<number, Probe>()
  return renderSupervisor({
    config: loaded.config,
    host,
    node: process.execPath,
    program: programPath(),
    configFile: loaded.file,
    stateFolder: stateFolder(loaded),
    placements: placeGenerators(host.generators, machine.gpus, machine.allowed),
    probe: node => {
      const known = probes.get(node) ?? probeNuma(node)
      probes.set(node, known)
      return known
    },
    local,
  })
}

function endpoint(server: string): { host: string; port: number } {
  try {
    const url = new URL(server.includes('://') ? server : `nats://${server}`)
    return { host: url.hostname, port: url.port === '' ? DEFAULT_NATS_PORT : Number(url.port) }
  } catch (error) {
    throw new ConfigError(`nats.servers: "${server}" is no address like nats://host:4222`, { cause: error })
  }
}

/** nats.conf of a host: alone when one server is listed, one of a cluster when there are three. */
export function natsConfigText(loaded: LoadedConfig, host: HostConfig): string {
  const { servers, user, replicas } = loaded.config.nats
  const all = servers.map(endpoint)
  const own = all.length === 1 ? all[0]! : all.find(({ host: name }) => name === host.name)
  if (!own)
    throw new ConfigError(
      `nats.servers names no server on host ${host.name}: in a cluster each server is listed by its host's name`,
    )
  const password = natsPassword(loaded)
  return renderServerConfig({
    name: `nats-${host.name}`,
    host: own.host,
    port: own.port,
    storeDir: join(stateFolder(loaded), 'nats'),
    replicas,
    ...(user === '' ? {} : { user, password }),
    ...(all.length === 1
      ? {}
      : {
          cluster: {
            name: loaded.config.fleet.name,
            port: own.port + CLUSTER_PORT_OFFSET,
            routes: all
              .filter(other => other !== own)
              .map(other => `${other.host}:${other.port + CLUSTER_PORT_OFFSET}`),
          },
        }),
  })
}
