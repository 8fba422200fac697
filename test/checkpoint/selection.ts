import t from 'tap'
import {
  checkpointKindPrefix,
  checkpointMetadataKey,
  parseReadyMarker,
  readyMarkerKey,
  windowOfKey,
} from '../../src/checkpoint/paths.js'
import { anchorWindow, chainWindows, isAnchorWindow, retainedWindows } from '../../src/checkpoint/retention.js'
import { latestReadyCheckpoint } from '../../src/checkpoint/selection.js'

t.test('of the checkpoints ready before the window the one ready last is taken', t => {
  const key = readyMarkerKey
  const cases: [title: string, keys: string[], before: number, chosen: number | undefined][] = [
    ['none at all', [], 120, undefined],
    ['one', [key(30, 90)], 120, 30],
    ['ready in this very window', [key(30, 120)], 120, undefined],
    ['ready in the window before', [key(30, 119)], 120, 30],
    ['an older one became ready later', [key(60, 90), key(30, 99)], 120, 30],
    ['the newest of those ready at once', [key(30, 90), key(60, 90)], 120, 60],
    ['the order of the listing does not count', [key(60, 90), key(30, 90)], 120, 60],
    ['only markers count', ['grail/checkpoints/checkpoint-60/FULL/metadata.json', key(30, 60)], 120, 30],
    [
      'markers without a number',
      ['grail/checkpoints/checkpoint-30/READY-', 'grail/checkpoints/checkpoint-x/READY-5'],
      120,
      undefined,
    ],
    ['a marker in another place', ['grail/checkpoints/READY-5', 'checkpoint-30/READY-5'], 120, undefined],
  ]
  for (const [title, keys, before, chosen] of cases) t.equal(latestReadyCheckpoint(keys, before), chosen, title)
  t.end()
})

t.test('keys', t => {
  t.equal(checkpointKindPrefix(900, 'DELTA'), 'grail/checkpoints/checkpoint-900/DELTA')
  t.equal(checkpointMetadataKey(900, 'FULL'), 'grail/checkpoints/checkpoint-900/FULL/metadata.json')
  t.same(parseReadyMarker(readyMarkerKey(900, 930)), { window: 900, readyWindow: 930 })
  t.same(parseReadyMarker('grail/checkpoints/checkpoint-30-old/READY-60-x/y'), { window: 30, readyWindow: 60 })
  t.equal(parseReadyMarker('grail/checkpoints/checkpoint--30/READY-60'), undefined)
  t.equal(windowOfKey('grail/checkpoints/checkpoint-930/FULL/x'), 930)
  t.equal(windowOfKey('grail/checkpoints/checkpoint-930-old/'), undefined)
  t.equal(windowOfKey('grail/windows/x'), undefined)
  t.end()
})

t.test('retention keeps two chains and the first ten windows', t => {
  t.same(retainedWindows(-1), [])
  t.same(retainedWindows(30), [0, 30])
  t.same(retainedWindows(930).slice(9, 13), [270, 600, 630, 660])
  t.equal(retainedWindows(930).at(-1), 930)
  t.ok(retainedWindows(3000, 20).includes(1200), 'milestones, when asked for')
  t.notOk(retainedWindows(3000).includes(1200))
  t.same([anchorWindow(929), anchorWindow(900), isAnchorWindow(900), isAnchorWindow(930)], [900, 900, true, false])
  t.end()
})

t.test('a retained delta keeps its chain', t => {
  const chain = new Map([
    [990, 960],
    [960, 930],
    [930, 900],
  ])
  t.same(chainWindows([990], chain, new Map([[990, 900]])), [900, 930, 960])
  t.same(chainWindows([990], new Map([[990, 960]]), new Map([[990, 900]])), [900, 960], 'a chain that breaks off')
  t.same(
    chainWindows(
      [990],
      new Map([
        [990, 960],
        [960, 990],
      ]),
      new Map([[990, 900]]),
    ),
    [900, 960, 990],
    'a loop ends',
  )
  t.same(chainWindows([990], chain, new Map()), [], 'without an anchor nothing is known')
  t.end()
})
