import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../src/package-root.js'
import { GRAIL_V5 } from '../../src/protocol/profile.js'
import type { Part } from '../../src/window/parquet/parts.js'
import { openWindowFile } from '../../src/window/parquet/writer.js'
import { sampleGroup } from '../helpers/group.js'
import { sharedFolder } from '../helpers/shared.js'
import { withSampleSignatures } from '../helpers/signed.js'

const script = join(packageRoot, 'test', 'window', 'parquet-read.py')
const sample = join(sharedFolder, 'spec', 'vectors', 'head_window_1group.parquet')

/** A Python that has pyarrow, the library the reference reads with. */
const python = [process.env.PYARROW_PYTHON, join(packageRoot, '.venv-test', 'bin', 'python')].find(candidate => {
  if (candidate === undefined || !existsSync(candidate)) return false
  try {
    execFileSync(candidate, ['-c', 'import pyarrow.parquet'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})
const skip =
  python === undefined && 'no Python with pyarrow: supervisor/setup/test-python.sh makes one; hyparquet judges instead'

t.test(
  'pyarrow reads the file value for value, with the schema, types, metadata and codec of the reference',
  { skip },
  async t => {
    const folder = await mkdtemp(join(tmpdir(), 'grail-pyarrow-'))
    t.teardown(() => rm(folder, { recursive: true }))
    const parts: Part[] = []
    const file = openWindowFile(
      { wallet: '5Grw', windowStart: 7_654_320, windowLength: 30, timestamp: 1_775_000_001.5, rehearsal: false },
      {
        profile: GRAIL_V5,
        partBytes: 50_000,
        onPart: part => {
          parts.push(part)
        },
      },
    )
    // More rows than one row group holds.
    const groups = Array.from({ length: 11 }, (_, i) => sampleGroup({ index: 2 * i, completionLength: 40 + 13 * i }))
    for (const group of groups) await file.append(withSampleSignatures(group))
    await file.close()
    const path = join(folder, 'window.parquet')
    await writeFile(path, Buffer.concat(parts.map(part => part.bytes)))

    const theirs = existsSync(sample) ? [sample] : []
    const answer = JSON.parse(
      execFileSync(String(python), [script, path, ...theirs], { encoding: 'utf8', maxBuffer: 256 * 1024 * 1024 }),
    )
    if (theirs.length > 0) {
      t.ok(answer.same_parquet_schema, "the Parquet schema is the sample window's")
      t.ok(answer.same_arrow_schema, "and so is Arrow's")
    }
    t.equal(answer.format_version, '2.6')
    t.match(answer.metadata, {
      wallet: '5Grw',
      window_start: '7654320',
      window_length: '30',
      inference_count: '176',
      timestamp: '1775000001.5',
    })
    t.equal(answer.chunks.length, 2 * 27, 'two row groups of 27 columns')
    t.same([...new Set(answer.chunks.map(({ compression }: { compression: string }) => compression))], ['ZSTD'])
    t.ok(answer.chunks.every(({ stats }: { stats: boolean }) => stats))
    t.equal(answer.rows.length, 176)
    const expected = groups.flatMap(group => {
      const { rows } = withSampleSignatures(group)
      return group.rollouts.map((rollout, i) => ({
        window_start: group.window,
        block: group.block,
        nonce: group.index * 16 + i,
        block_hash: group.windowHash,
        randomness: group.randomness,
        use_drand: true,
        rollout_group: group.index,
        rollout_index: i,
        total_in_group: 16,
        checkpoint_window: group.model.checkpointWindow,
        commit: {
          tokens: [...group.promptIds, ...rollout.completionIds],
          commitments: JSON.stringify([...rollout.sketches].map(sketch => ({ sketch }))),
          proof_version: 'v5',
          model: { name: group.model.modelName, layer_index: -1 },
          signature: rows[i]?.commitSignature,
          beacon: JSON.stringify({ randomness: group.randomness }),
          rollout: {
            total_reward: rollout.reward,
            advantage: rollout.advantage,
            success: rollout.success,
            token_logprobs: [...group.promptIds.map(() => 0), ...rollout.logprobs],
            prompt_length: group.promptIds.length,
            completion_length: rollout.completionIds.length,
          },
        },
        timestamp: group.timestamp,
        challenge: rows[i]?.challenge,
        hotkey: group.hotkey,
        signature: rows[i]?.signature,
      }))
    })
    t.strictSame(answer.rows, expected)
  },
)
