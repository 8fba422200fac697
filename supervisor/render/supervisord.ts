import { join } from 'node:path'
import { NODE_ARGS, NODE_ENVIRONMENT } from '../../actors/aggregator/node-process.js'
import type { Config, HostConfig } from '../config/schema.js'
import { bindingPrefix, type Probe } from './numa.js'
import type { Placements } from './placement.js'

/** A program outside the group `grail`: what a rehearsal needs and a real host has elsewhere. */
export interface LocalProgram {
  name: string
  command: string[]
  /** Lower starts first and stops last. */
  priority: number
}

export interface SupervisorPlan {
  config: Config
  host: HostConfig
  /** Absolute paths. */
  node: string
  program: string
  configFile: string
  stateFolder: string
  /** Where its generators run. */
  placements: Placements
  /** Binding per NUMA node, probed once. */
  probe: (node: number) => Probe
  local: LocalProgram[]
}

/** An actor is taken for started after this many seconds: connecting to the broker and folding the journal takes about one. */
const START_SECONDS = 2
/** A generator may finish the step it is in, an uploader its part: then it is killed. */
const STOP_SECONDS = 20
/** supervisord gives up on a program that fails this often in a row without ever having started. */
const START_RETRIES = 1_000_000
const LOG_BYTES = '50MB'
const LOG_BACKUPS = 5

/** supervisord splits commands like a shell and expands %(…)s: quote accordingly. */
function words(command: readonly string[]): string {
  return command
    .map(word => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ')
    .replaceAll('%', '%%')
}

function section(name: string, values: Record<string, string | number>): string {
  return [`[${name}]`, ...Object.entries(values).map(([key, value]) => `${key}=${value}`), ''].join('\n')
}

/** The actors of this host: program name → command. */
export function programs(
  plan: SupervisorPlan,
): { name: string; command: string[]; environment: Record<string, string> }[] {
  const actor = (role: string, ...more: string[]) => [
    plan.node,
    ...(role === 'aggregator' ? NODE_ARGS : []),
    plan.program,
    'actor',
    role,
    '--config',
    plan.configFile,
    '--host',
    plan.host.name,
    ...more,
  ]
  const roles = plan.host.roles.map(role => ({
    name: role,
    command: actor(role),
    environment: role === 'aggregator' ? { ...NODE_ENVIRONMENT } : {},
  }))
  const generators = plan.placements.generators.map((generator, number) => ({
    name: `generator-${number}`,
    command: [
      ...bindingPrefix(generator, plan.probe(generator.numa ?? 0)),
      ...actor('generator', '--number', String(number)),
    ],
    // Without a GPU the variable is set all the same: '' hides every card from a worker that was meant for the CPU. The
    // order makes CUDA's numbers those of nvidia-smi, where cards are given by number.
    environment: { CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: generator.visible.join(',') },
  }))
  return [...roles, ...generators]
}

/** The text of supervisord.conf for this host: the group `grail`, and for a rehearsal what it needs around it. */
export function renderSupervisor(plan: SupervisorPlan): string {
  const run = plan.stateFolder
  const actors = programs(plan)
  const { generators, said: found } = plan.placements
  const nodes = [...new Set(generators.flatMap(g => (g.numa === undefined ? [] : [g.numa])))]
  const said = [...found, ...nodes.map(node => plan.probe(node).said)].map(sentence => `; ${sentence}`)
  const program = (name: string, command: string[], more: Record<string, string | number>) =>
    section(`program:${name}`, {
      command: words(command),
      directory: run,
      autostart: 'true',
      autorestart: 'true',
      startsecs: START_SECONDS,
      startretries: START_RETRIES,
      stopsignal: 'TERM',
      stopwaitsecs: STOP_SECONDS,
      killasgroup: 'true',
      stdout_logfile: join(run, 'log', `${name}.log`),
      stdout_logfile_maxbytes: LOG_BYTES,
      stdout_logfile_backups: LOG_BACKUPS,
      redirect_stderr: 'true',
      ...more,
    })
  return [
    `; rendered by "grail render supervisor" from ${plan.configFile}: change that file, not this one`,
    ...said,
    section('unix_http_server', { file: join(run, 'supervisor.sock'), chmod: '0700' }),
    section('supervisord', {
      logfile: join(run, 'log', 'supervisord.log'),
      logfile_maxbytes: LOG_BYTES,
      logfile_backups: LOG_BACKUPS,
      pidfile: join(run, 'supervisord.pid'),
      childlogdir: join(run, 'log'),
      directory: run,
      umask: '077',
    }),
    section('rpcinterface:supervisor', {
      'supervisor.rpcinterface_factory': 'supervisor.rpcinterface:make_main_rpcinterface',
    }),
    section('supervisorctl', { serverurl: `unix://${join(run, 'supervisor.sock')}` }),
    ...plan.local.map(({ name, command, priority }) => program(name, command, { priority })),
    ...actors.map(({ name, command, environment }) =>
      program(name, command, {
        priority: 500,
        environment: Object.entries({ ...environment, NODE_NO_WARNINGS: '1' })
          .map(([key, value]) => `${key}="${value}"`)
          .join(','),
      }),
    ),
    section('group:grail', { programs: actors.map(({ name }) => name).join(','), priority: 500 }),
    ...(plan.local.length > 0
      ? [section('group:local', { programs: plan.local.map(({ name }) => name).join(','), priority: 100 })]
      : []),
  ].join('\n')
}
