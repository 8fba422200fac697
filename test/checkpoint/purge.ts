import { readdirSync, utimesSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { type PurgeOptions, purge } from '../../src/checkpoint/purge.js'
import { SEAL_FILE, touchSeal, writeSeal } from '../../src/checkpoint/seal.js'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const NOW = 1_800_000_000_000

/** A cache whose checkpoints have 100 bytes each and were used so many minutes ago. */
async function cacheOf(folder: string, usedMinutesAgo: Record<number, number>): Promise<string> {
  for (const [window, minutes] of Object.entries(usedMinutesAgo)) {
    const path = join(folder, `checkpoint-${window}`)
    await mkdir(path)
    await writeFile(join(path, 'model.safetensors'), Buffer.alloc(100))
    await writeSeal(path, {
      window: Number(window),
      weightsHash: '',
      digests: new Map([['model.safetensors', 'sha256:00']]),
    })
    await touchSeal(path, NOW - minutes * MINUTE)
  }
  return folder
}

t.test('age and size decide what goes, least recently used first, and never what is needed', async t => {
  const cases: [title: string, used: Record<number, number>, over: Partial<PurgeOptions>, gone: [number, string][]][] =
    [
      ['room for all', { 900: 60, 930: 30 }, {}, []],
      ['too much: the one used longest ago', { 900: 60, 930: 90, 960: 70 }, { maxBytes: 200 }, [[930, 'size']]],
      [
        'as many as it takes',
        { 900: 60, 930: 50, 960: 40 },
        { maxBytes: 100 },
        [
          [900, 'size'],
          [930, 'size'],
        ],
      ],
      ['not used for long', { 900: 2 * 24 * 60, 930: 60 }, {}, [[900, 'age']]],
      ['age makes room first', { 900: 2 * 24 * 60, 930: 60, 960: 50 }, { maxBytes: 200 }, [[900, 'age']]],
      [
        'the current and the next stay',
        { 900: 90, 930: 80, 960: 70 },
        { maxBytes: 0, keep: new Set([900, 930]) },
        [[960, 'size']],
      ],
      ['what was used a moment ago stays', { 900: 14, 930: 16 }, { maxBytes: 0 }, [[930, 'size']]],
      [
        'what the delta of a next one will be put on stays',
        { 900: 90, 930: 80, 990: 70 },
        { maxBytes: 0, keep: new Set([960]) },
        [
          [900, 'size'],
          [990, 'size'],
        ],
      ],
      ['also when it is old', { 900: 3 * 24 * 60 }, { keep: new Set([960]) }, []],
      ['but not once that one is there', { 930: 80, 960: 70 }, { maxBytes: 0, keep: new Set([960]) }, [[930, 'size']]],
    ]
  for (const [title, used, over, gone] of cases) {
    const folder = await cacheOf(t.testdir(), used)
    const options = { folder, keep: new Set<number>(), maxBytes: 1000, maxAgeMs: DAY, nowMs: NOW, ...over }
    t.same(
      (await purge(options)).map(({ window, why }) => [window, why]),
      gone,
      title,
    )
    const left = Object.keys(used).filter(window => !gone.some(([other]) => other === Number(window)))
    t.same(new Set(readdirSync(folder)), new Set(left.map(window => `checkpoint-${window}`)), title)
  }
})

t.test('what is not the cache’s is left alone, what was on its way out is removed', async t => {
  const folder = await cacheOf(
    t.testdir({ 'checkpoint-old': {}, notes: '', '.locks': {}, 'checkpoint-900.x.removed': {} }),
    {},
  )
  const options = { folder, keep: new Set<number>(), maxBytes: 0, maxAgeMs: 0, nowMs: NOW }
  t.same(await purge(options), [])
  t.same(readdirSync(folder).sort(), ['.locks', 'checkpoint-old', 'notes'])
  t.same(await purge({ ...options, folder: join(folder, 'none') }), [])
})

t.test('a checkpoint without a readable seal is as old as its folder', async t => {
  const folder = t.testdir({ 'checkpoint-900': { [SEAL_FILE]: 'x' }, 'checkpoint-930': {} })
  for (const name of ['checkpoint-900', 'checkpoint-930']) utimesSync(join(folder, name), 1, 1)
  utimesSync(join(folder, 'checkpoint-900', SEAL_FILE), 1, 1)
  const purged = await purge({ folder, keep: new Set([930]), maxBytes: 0, maxAgeMs: DAY, nowMs: NOW })
  t.same(purged, [{ window: 900, bytes: 0, why: 'age' }])
})
