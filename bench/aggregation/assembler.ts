import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { signGroup } from '../../actors/aggregator/sign.js'
import { takeGroup } from '../../actors/aggregator/take.js'
import type { Store } from '../../nats/index.js'
import { gateGroup } from '../../src/protocol/gate.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { hotkeyOf, keyPairOfSeed, ready } from '../../src/wallet/sr25519.js'
import { decodeGroup, digestOf } from '../../src/window/blob.js'
import { WINDOW_BLOCKS } from '../../src/window/block.js'
import type { Group } from '../../src/window/group.js'
import { openWindowFile } from '../../src/window/parquet/writer.js'
import { withSampleSignatures } from '../../test/helpers/signed.js'
import { serve } from '../measure/child.js'
import { cpuSecondsSince, memoryOf } from '../measure/process.js'
import { expectationOf, type Origin, type StagedAt } from './window.js'

// The aggregator's own work on a window, without the broker: a process of its own, so that its memory is its own.

export interface AssemblerTask {
  file: string
  entries: StagedAt[]
  origin: Origin
  seed: Uint8Array
  partBytes: number
  /** Where the window file goes. */
  out: string
  /** Groups of a window that is made before, so that all code is compiled; 0: the process's first window is measured. */
  warmUpGroups: number
  /** Texts where signatures belong otherwise. */
  sign: boolean
  /** Measures each step; the steps' own functions are called one by one then. */
  steps: boolean
}

export interface AssemblerResult {
  cpuSeconds: number
  peakBytes: number
  rows: number
  bytes: number
  /** CPU seconds by step; empty unless asked for. */
  steps: Record<string, number>
  /** What was seen at the start and after every `LOOK_GROUPS` groups. */
  looks: Look[]
}

export interface Look {
  rows: number
  /** In use, bytes. */
  memory: number
  /** Since the start. */
  cpuSeconds: number
}

/** Memory and CPU are looked at after so many groups: five row groups, which garbage is collected in several times. */
const LOOK_GROUPS = 40

serve(async (task: AssemblerTask) => {
  await ready()
  const hotkey = hotkeyOf(keyPairOfSeed(task.seed))
  const blobs = openSync(task.file, 'r')
  const expected = expectationOf(task.origin)
  const signal = new AbortController().signal
  const rehearsal = task.origin.engine === 'rehearsal'
  const steps: Record<string, number> = {}

  /** CPU of a step, of all threads: what the collector does meanwhile counts too. */
  const measured = <T>(step: string, work: () => T): T => {
    if (!task.steps) return work()
    const before = process.cpuUsage()
    const done = (value: unknown) => {
      steps[step] = (steps[step] ?? 0) + cpuSecondsSince(before)
      return value
    }
    const made = work()
    return (made instanceof Promise ? made.then(done) : done(made)) as T
  }

  const read = ({ offset, bytes }: StagedAt): Uint8Array => {
    const blob = new Uint8Array(bytes)
    readSync(blobs, blob, 0, bytes, offset)
    return blob
  }
  const byName = new Map(task.entries.map(entry => [String(entry.index), entry]))
  const store = { get: async (name: string) => read(byName.get(name) as StagedAt) } as Pick<Store, 'get'> as Store

  const take = async (entry: StagedAt): Promise<Group> => {
    if (!task.steps) {
      const staged = { object: String(entry.index), digest: entry.digest } as Parameters<typeof takeGroup>[1]
      const taken = await takeGroup(store, staged, { index: entry.index, rehearsal, gate: expected }, GRAIL_V5, signal)
      if ('reason' in taken) throw new Error(`${taken.reason}: ${taken.detail}`)
      return taken.group
    }
    const blob = measured('read', () => read(entry))
    if (measured('digest', () => digestOf(blob)) !== entry.digest) throw new Error('not what was staged')
    const group = measured('decode', () => decodeGroup(blob))
    const [finding] = measured('gate', () => gateGroup(group, GRAIL_V5, expected))
    if (finding) throw new Error(finding.message)
    return group
  }

  const assemble = async (entries: readonly StagedAt[], looked: (rows: number) => void) => {
    const out = openSync(task.out, 'w')
    const file = openWindowFile(
      {
        wallet: hotkey.ss58,
        windowStart: task.origin.window,
        windowLength: WINDOW_BLOCKS,
        timestamp: 1_775_000_001.5,
        rehearsal,
      },
      {
        profile: GRAIL_V5,
        partBytes: task.partBytes,
        onPart: ({ bytes }) =>
          measured('parts', () => {
            for (const algorithm of ['sha256', 'md5']) createHash(algorithm).update(bytes).digest('hex')
            writeSync(out, bytes)
          }),
      },
    )
    for (const [i, entry] of entries.entries()) {
      const group = await take(entry)
      const signed = task.sign
        ? measured('sign', () => signGroup(group, hotkey, GRAIL_V5))
        : withSampleSignatures(group)
      await measured('encode', () => file.append(signed))
      if ((i + 1) % LOOK_GROUPS === 0) looked((i + 1) * GRAIL_V5.groupSize)
    }
    const closed = await measured('encode', () => file.close())
    closeSync(out)
    return closed
  }

  // An aggregator makes window after window for days: what its first one costs more is measured by itself.
  await assemble(task.entries.slice(0, task.warmUpGroups), () => {})
  for (const step of Object.keys(steps)) delete steps[step]

  return async (): Promise<AssemblerResult> => {
    const began = process.cpuUsage()
    const look = (rows: number): Look => ({
      rows,
      memory: memoryOf(process.pid).now,
      cpuSeconds: cpuSecondsSince(began),
    })
    const looks = [look(0)]
    const { rows, bytes } = await assemble(task.entries, rows => looks.push(look(rows)))
    const cpuSeconds = cpuSecondsSince(began)
    if (steps.encode !== undefined) steps.encode -= steps.parts ?? 0
    closeSync(blobs)
    return { cpuSeconds, peakBytes: memoryOf(process.pid).peak, rows, bytes, steps, looks }
  }
})
