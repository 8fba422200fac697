import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { advantages } from '../../src/protocol/advantages.js'
import type { GateExpectation } from '../../src/protocol/gate.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import { deriveEnvSeed } from '../../src/protocol/seed.js'
import { digestOf, encodeGroup } from '../../src/window/blob.js'
import type { Group } from '../../src/window/group.js'
import { rowsOf } from '../../src/window/parquet/rows.js'
import { sampleGroup } from '../../test/helpers/group.js'
import { withSampleSignatures } from '../../test/helpers/signed.js'

/** Different groups of a made-up window; beyond them their contents repeat, further apart than any codec looks back. */
const DISTINCT = 64
/** A problem of a school book in a chat template, tokens. */
const PROMPT_TOKENS = 60
/** Completions of a group differ by this much at most, tokens. */
const LENGTH_SPREAD = 15

/** What a group of a real window has and a made-up one needs to pass the gate. */
export interface Origin {
  hotkey: string
  window: number
  epoch: number
  windowHash: string
  randomness: string
  checkpointWindow: number
  modelName: string
  weightsHash: string
  environment: string
  engine: string
}

/** The window that test groups say they are of, under another hotkey. */
export function sampleOrigin(hotkey: string): Origin {
  const { window, epoch, windowHash, randomness, model, environment, engine } = sampleGroup()
  const { checkpointWindow, modelName, weightsHash } = model
  return {
    hotkey,
    window,
    epoch,
    windowHash,
    randomness,
    checkpointWindow,
    modelName,
    weightsHash,
    environment,
    engine,
  }
}

export function expectationOf({ engine: _, ...origin }: Origin): GateExpectation {
  return origin
}

/**
 * Makes groups that pass the gate, of about `tokens` completion tokens each rollout.
 * @returns a group by its index
 */
export function groupMaker(origin: Origin, tokens: number): (index: number) => Group {
  const made = new Map<number, Group>()
  return index => {
    const kind = index % DISTINCT
    let group = made.get(kind)
    if (!group) {
      group = passable(
        sampleGroup({
          index: kind,
          promptLength: PROMPT_TOKENS,
          completionLength: tokens - Math.floor(LENGTH_SPREAD / 2),
        }),
      )
      made.set(kind, group)
    }
    const { hotkey, window, epoch, windowHash, randomness, environment, engine } = origin
    const { checkpointWindow, modelName, weightsHash } = origin
    return {
      ...group,
      ...{ hotkey, window, epoch, windowHash, randomness, environment, engine, index },
      seed: deriveEnvSeed(hotkey, windowHash, index),
      model: { ...group.model, checkpointWindow, modelName, weightsHash },
    }
  }
}

function passable(group: Group): Group {
  const advantage = advantages(group.rollouts.map(({ reward }) => reward))
  return {
    ...group,
    maxTokens: GRAIL_V5.maxNewTokens,
    rollouts: group.rollouts.map((rollout, i) => {
      const completionIds = rollout.completionIds.slice()
      completionIds[completionIds.length - 1] = group.model.eosTokenId
      return { ...rollout, completionIds, finish: 'eos', eosProbability: 0.9, advantage: advantage[i] as number }
    }),
  }
}

/** Where a staged group lies in a file of many. */
export interface StagedAt {
  index: number
  digest: string
  offset: number
  bytes: number
}

/** A window's staged groups in one file, as an object store would hold them. */
export function stageInFile(folder: string, makeGroup: (index: number) => Group, groups: number) {
  const file = join(folder, 'staged.blobs')
  const out = openSync(file, 'w')
  const entries: StagedAt[] = []
  let offset = 0
  for (let index = 0; index < groups; index++) {
    const blob = encodeGroup(makeGroup(index))
    writeSync(out, blob)
    entries.push({ index, digest: digestOf(blob), offset, bytes: blob.length })
    offset += blob.length
  }
  closeSync(out)
  return { file, entries }
}

/** A group as a Python worker stages it: rows as JSON, commitments as objects. */
export function groupJson(group: Group): string {
  const rows = rowsOf(withSampleSignatures(group), GRAIL_V5).map(row => ({
    ...row,
    commit: {
      ...row.commit,
      tokens: Array.from(row.commit?.tokens as Int32Array),
      commitments: JSON.parse(String(row.commit?.commitments)),
      beacon: JSON.parse(String(row.commit?.beacon)),
      rollout: {
        ...row.commit?.rollout,
        token_logprobs: Array.from(row.commit?.rollout?.token_logprobs as Float32Array),
      },
    },
  }))
  return JSON.stringify(rows)
}

/** Groups as Python workers stage them, a line for each. */
export function stageAsJson(folder: string, makeGroup: (index: number) => Group, groups: number): string {
  const file = join(folder, 'staged.jsonl')
  const out = openSync(file, 'w')
  for (let index = 0; index < groups; index++) writeSync(out, `${groupJson(makeGroup(index))}\n`)
  closeSync(out)
  return file
}
