import t from 'tap'
import {
  hotkeyPrefix,
  objectKey,
  parseObjectKey,
  shadowKey,
  sizeFault,
  WINDOW_PREFIX,
} from '../../src/window/object.js'

const HOTKEY = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'

await t.test('the key of a window file is the one validators ask for, and leads back', async t => {
  const key = `grail/windows/${HOTKEY}-window-5730.parquet`
  t.equal(objectKey(HOTKEY, 5_730), key)
  t.same(parseObjectKey(key), { hotkey: HOTKEY, window: 5_730 })
  t.same(parseObjectKey(objectKey(HOTKEY, 0)), { hotkey: HOTKEY, window: 0 })
  t.ok(key.startsWith(hotkeyPrefix(HOTKEY)) && key.startsWith(WINDOW_PREFIX))
})

await t.test('no key is made of what is no hotkey or no window', async t => {
  for (const hotkey of ['', '../../x', `${HOTKEY}/`, HOTKEY.replace('G', '0'), HOTKEY.slice(1, 40)])
    t.throws(() => objectKey(hotkey, 30), RangeError, hotkey)
  for (const window of [-30, 31, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])
    t.throws(() => objectKey(HOTKEY, window), RangeError, String(window))
})

await t.test('other keys are no window files', async t => {
  const key = objectKey(HOTKEY, 30)
  for (const other of [
    '',
    shadowKey(key),
    `x${key}`,
    key.replace('.parquet', '.json'),
    key.replace('windows', 'checkpoints'),
    key.replace('window-30', 'window-030'),
    key.replace('window-30', 'window-31'),
    key.replace('window-30', 'window--30'),
    key.replace(HOTKEY, 'someone'),
    key.replace(HOTKEY, `../${HOTKEY.slice(3)}`),
    `${key}\n`,
  ])
    t.equal(parseObjectKey(other), undefined, other)
})

await t.test('validators take 200 bytes to 350 MiB, both included', async t => {
  for (const bytes of [200, 201, 350 * 1024 * 1024]) t.equal(sizeFault(bytes), undefined, String(bytes))
  t.match(sizeFault(199), /too few/)
  t.match(sizeFault(0), /too few/)
  t.match(sizeFault(350 * 1024 * 1024 + 1), /too many/)
})

await t.test('the shadow of a key is what validators would read instead', async t => {
  t.equal(shadowKey(objectKey(HOTKEY, 30)), `grail/windows/${HOTKEY}-window-30.parquet.gz`)
})
