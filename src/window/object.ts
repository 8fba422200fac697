import { WINDOW_BLOCKS } from './block.js'

/** Folder of every window file in a miner's bucket (one-covenant/grail grail/infrastructure/comms.py:1180, 54d6342). */
export const WINDOW_PREFIX = 'grail/windows/'

/** Smaller files are ignored by validators, bytes (grail/validation/miner_validator.py:439 with grail/shared/constants.py:173, 54d6342). */
export const MIN_OBJECT_BYTES = 200

/** Larger files are ignored by validators, bytes: 350 MiB (grail/shared/constants.py:174, 54d6342). Discovery alone would take 500 MiB. */
export const MAX_OBJECT_BYTES = 350 * 1024 * 1024

/** Base58 without 0, O, I and l; 47 or 48 characters is what an account of 32 bytes takes. */
const SS58 = /^[1-9A-HJ-NP-Za-km-z]{47,48}$/
const KEY = /^grail\/windows\/([1-9A-HJ-NP-Za-km-z]{47,48})-window-(0|[1-9]\d*)\.parquet$/

/**
 * Where validators look for the file of a window (protocol.md §5.2).
 * @throws RangeError when the hotkey is no ss58 address or the window does not start at a multiple of 30 blocks
 */
export function objectKey(hotkey: string, window: number): string {
  if (!SS58.test(hotkey)) throw new RangeError(`'${hotkey}' is not the ss58 address of a hotkey`)
  if (!isWindow(window))
    throw new RangeError(`${window} is not a window: windows start at multiples of ${WINDOW_BLOCKS} blocks`)
  return `${WINDOW_PREFIX}${hotkey}-window-${window}.parquet`
}

/** Hotkey and window of a window file's key; undefined for every other key, the shadow key included. */
export function parseObjectKey(key: string): { hotkey: string; window: number } | undefined {
  const [, hotkey, digits] = KEY.exec(key) ?? []
  if (hotkey === undefined || digits === undefined) return undefined
  const window = Number(digits)
  return isWindow(window) ? { hotkey, window } : undefined
}

/** Prefix of all window files of one hotkey. */
export function hotkeyPrefix(hotkey: string): string {
  return `${WINDOW_PREFIX}${hotkey}-window-`
}

/**
 * The key validators ask for first: an object there is read, gunzipped, instead of the window file
 * (grail/infrastructure/comms.py:957-966 and 734-751, 54d6342). Nothing may ever lie there.
 */
export function shadowKey(key: string): string {
  return `${key}.gz`
}

/** Why validators would ignore a file of this many bytes, or undefined when they take it. */
export function sizeFault(bytes: number): string | undefined {
  if (bytes < MIN_OBJECT_BYTES) return `${bytes} bytes are too few: validators ignore files under ${MIN_OBJECT_BYTES}`
  if (bytes > MAX_OBJECT_BYTES) return `${bytes} bytes are too many: validators ignore files over ${MAX_OBJECT_BYTES}`
  return undefined
}

function isWindow(window: number): boolean {
  return Number.isSafeInteger(window) && window >= 0 && window % WINDOW_BLOCKS === 0
}
