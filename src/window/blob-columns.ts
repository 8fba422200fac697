import { GROUP_SIZE, type Group, type Rollout } from './group.js'

/** The arrays of a group, concatenated over its rollouts. R = 16, P = prompt length, C_i = completion lengths; all little-endian. */
export interface Columns {
  /** int32[P] */
  promptIds: Uint8Array
  /** int32[R] */
  completionLengths: Uint8Array
  /** int32[ΣC] */
  completionIds: Uint8Array
  /** int32[R·P + ΣC] */
  sketches: Uint8Array
  /** float32[ΣC] */
  logprobs: Uint8Array
  /** u8[R]: 1 eos, 0 length */
  finishedByEos: Uint8Array
  /** float64[R] */
  eosProbability: Uint8Array
  /** float64[4·R]: median, q10, q10First50, min */
  distribution: Uint8Array
  /** float64[R] */
  reward: Uint8Array
  /** u8[R] */
  success: Uint8Array
  /** float64[R] */
  advantage: Uint8Array
}

type Numbers = Int32Array | Float32Array | Float64Array | Uint8Array

/** @throws Error when a rollout's arrays have other lengths than its completion */
export function columnsOf(promptIds: Int32Array, rollouts: Rollout[]): Columns {
  if (rollouts.length !== GROUP_SIZE) throw new Error(`${rollouts.length} rollouts instead of ${GROUP_SIZE}`)
  const prompt = promptIds.length
  rollouts.forEach((rollout, i) => {
    const length = rollout.completionIds.length
    if (rollout.sketches.length !== prompt + length)
      throw new Error(
        `rollout ${i} has ${rollout.sketches.length} sketches for ${prompt} prompt and ${length} completion tokens`,
      )
    if (rollout.logprobs.length !== length)
      throw new Error(`rollout ${i} has ${rollout.logprobs.length} logprobs for ${length} completion tokens`)
  })
  const doubles = (of: (rollout: Rollout) => number[]) => bytesOf(Float64Array.from(rollouts.flatMap(of)))
  const flags = (of: (rollout: Rollout) => boolean) => Uint8Array.from(rollouts, rollout => (of(rollout) ? 1 : 0))
  return {
    promptIds: bytesOf(promptIds),
    completionLengths: bytesOf(Int32Array.from(rollouts, rollout => rollout.completionIds.length)),
    completionIds: joined(rollouts.map(rollout => rollout.completionIds)),
    sketches: joined(rollouts.map(rollout => rollout.sketches)),
    logprobs: joined(rollouts.map(rollout => rollout.logprobs)),
    finishedByEos: flags(rollout => rollout.finish === 'eos'),
    eosProbability: doubles(rollout => [rollout.eosProbability]),
    distribution: doubles(({ distribution: d }) => [d.median, d.q10, d.q10First50, d.min]),
    reward: doubles(rollout => [rollout.reward]),
    success: flags(rollout => rollout.success),
    advantage: doubles(rollout => [rollout.advantage]),
  }
}

/** @throws Error when a column's length does not follow from the others */
export function groupOf(columns: Columns): Pick<Group, 'promptIds' | 'rollouts'> {
  const promptIds = int32(columns.promptIds, 'promptIds')
  const lengths = int32(columns.completionLengths, 'completionLengths', GROUP_SIZE)
  let total = 0
  for (const length of lengths) {
    if (length < 0) throw new Error(`completionLengths holds ${length}`)
    total += length
  }
  const completionIds = int32(columns.completionIds, 'completionIds', total)
  const sketches = int32(columns.sketches, 'sketches', GROUP_SIZE * promptIds.length + total)
  const logprobs = new Float32Array(copied(columns.logprobs, 'logprobs', 4, total))
  const finishedByEos = flags(columns.finishedByEos, 'finishedByEos')
  const eosProbability = float64(columns.eosProbability, 'eosProbability')
  const distribution = float64(columns.distribution, 'distribution', 4 * GROUP_SIZE)
  const reward = float64(columns.reward, 'reward')
  const success = flags(columns.success, 'success')
  const advantage = float64(columns.advantage, 'advantage')
  const rollouts: Rollout[] = []
  let at = 0
  lengths.forEach((length, i) => {
    const sketchAt = i * promptIds.length + at
    rollouts.push({
      completionIds: completionIds.subarray(at, at + length),
      sketches: sketches.subarray(sketchAt, sketchAt + promptIds.length + length),
      logprobs: logprobs.subarray(at, at + length),
      finish: finishedByEos[i] === 1 ? 'eos' : 'length',
      eosProbability: eosProbability[i] as number,
      distribution: {
        median: distribution[4 * i] as number,
        q10: distribution[4 * i + 1] as number,
        q10First50: distribution[4 * i + 2] as number,
        min: distribution[4 * i + 3] as number,
      },
      reward: reward[i] as number,
      success: success[i] === 1,
      advantage: advantage[i] as number,
    })
    at += length
  })
  return { promptIds, rollouts }
}

function bytesOf(numbers: Numbers): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength)
}

function joined(arrays: Numbers[]): Uint8Array {
  const all = new Uint8Array(arrays.reduce((sum, array) => sum + array.byteLength, 0))
  let at = 0
  for (const array of arrays) {
    all.set(bytesOf(array), at)
    at += array.byteLength
  }
  return all
}

/** A copy at an aligned address; also keeps the group alive without the blob it came from. */
function copied(bytes: Uint8Array, name: string, width: number, expected?: number): ArrayBuffer {
  if (bytes.byteLength % width !== 0)
    throw new Error(`${name} has ${bytes.byteLength} bytes, no multiple of its ${width}-byte values`)
  const values = bytes.byteLength / width
  if (expected !== undefined && values !== expected)
    throw new Error(`${name} has ${values} values, expected ${expected}`)
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer
}

function int32(bytes: Uint8Array, name: string, expected?: number): Int32Array {
  return new Int32Array(copied(bytes, name, 4, expected))
}

function float64(bytes: Uint8Array, name: string, expected: number = GROUP_SIZE): Float64Array {
  return new Float64Array(copied(bytes, name, 8, expected))
}

function flags(bytes: Uint8Array, name: string): Uint8Array {
  const values = new Uint8Array(copied(bytes, name, 1, GROUP_SIZE))
  if (values.some(value => value > 1)) throw new Error(`${name} holds something else than 0 and 1`)
  return values
}
