import { join } from 'node:path'
import type { BucketKind, EngineName } from './plan.js'

/** What the generated inventory of a rehearsal says. */
export interface Inventory {
  engine: EngineName
  bucket: BucketKind
  generators: number
  blockMs: number
  paceMs: number
  natsPort: number
  devchainPort: number
  s3Port: number
  accessKeyId: string
  /** Absolute paths. */
  checkpointFolder: string
  python: string
  datasets: string
  threads: number
}

/** The text of a rehearsal's grail.toml: a small real inventory, to be read and copied from. */
export function inventoryText(of: Inventory): string {
  const lines = [
    '# Made by "make up" for a rehearsal on this machine; made anew by the next one.',
    '[fleet]',
    'name = "rehearsal"',
    'state = "."',
    '',
    '[nats]',
    `servers = ["nats://127.0.0.1:${of.natsPort}"]`,
    '',
    '[chain]',
    `endpoints = ["ws://127.0.0.1:${of.devchainPort}"]`,
    '# The development chain has pulses of its own: the network is not asked.',
    'drand = []',
    `stall_ms = ${Math.max(10_000, of.blockMs * 5)}`,
    '',
    '[wallet]',
    'path = "wallets"',
    'cold = "rehearsal"',
    'hot = "default"',
    '',
    '[bucket]',
    'rehearsal = true',
    ...(of.bucket === 'dir'
      ? ['kind = "dir"', 'folder = "bucket"']
      : [
          'kind = "s3"',
          `endpoint = "http://127.0.0.1:${of.s3Port}"`,
          'region = "us-east-1"',
          'name = "rehearsal"',
          `access_key_id = "${of.accessKeyId}"`,
          'secret_access_key_file = "secrets/s3"',
        ]),
    '',
    '[checkpoint]',
    `folder = "${of.checkpointFolder}"`,
    '',
    ...(of.datasets === '' ? [] : ['[environment]', `datasets = "${of.datasets}"`, '']),
    '[engine]',
    `name = "${of.engine}"`,
    ...(of.engine === 'rehearsal'
      ? [`pace_ms = ${of.paceMs}`]
      : [
          `python = "${of.python}"`,
          'device = "cpu"',
          `threads = ${of.threads}`,
          '# On a CPU it would cost a third of the first window.',
          'canary = false',
        ]),
    '',
    '[policy]',
    '# The bucket is on this machine: the first window need not reserve seconds for a slow link.',
    'first_tail_ms = 2000',
    '',
    '[local]',
    `nats_port = ${of.natsPort}`,
    `devchain_port = ${of.devchainPort}`,
    `block_ms = ${of.blockMs}`,
    ...(of.bucket === 's3' ? [`s3_port = ${of.s3Port}`] : []),
    '',
    '[[hosts]]',
    'name = "localhost"',
    'roles = ["controller", "aggregator", "uploader"]',
    ...Array.from({ length: of.generators }, () => '[[hosts.generators]]\nnuma = 0'),
    '',
  ]
  return lines.join('\n')
}

/** Where a rehearsal keeps things, under its state folder. */
export function rehearsalPaths(state: string) {
  return {
    inventory: join(state, 'grail.toml'),
    supervisord: join(state, 'supervisord.conf'),
    nats: join(state, 'nats.conf'),
    wallets: join(state, 'wallets'),
    s3Secret: join(state, 'secrets', 's3'),
    logs: join(state, 'log'),
    bucket: join(state, 'bucket'),
    windows: join(state, 'windows'),
    checkpoints: join(state, 'checkpoints'),
  }
}
