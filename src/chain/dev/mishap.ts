import type { DevChain } from './dev-chain.js'

/** Something that happens to a dev chain some blocks after its start. */
export interface Mishap {
  /** Blocks after the start. */
  after: number
  /** As it was asked for. */
  text: string
  happen(chain: DevChain): void
}

/** What may happen, and what its value is. */
const KINDS: Readonly<Record<string, (value: string | undefined) => (chain: DevChain) => void>> = {
  reorg: value => {
    const depth = whole(value ?? '1', 1)
    return chain => void chain.reorg(depth)
  },
  stall: value => {
    const seconds = whole(value ?? '0', 0)
    return chain => {
      chain.stall(true)
      if (seconds > 0) setTimeout(() => chain.stall(false), seconds * 1000).unref()
    }
  },
  silence: () => chain => chain.silence(),
  upgrade: value => {
    const spec = value === undefined ? undefined : whole(value, 1)
    return chain => chain.upgrade(spec)
  },
  'finality-lag': value => {
    const blocks = whole(value, 0)
    return chain => chain.setFinalityLag(blocks)
  },
  'announce-every': value => {
    const blocks = whole(value, 1)
    return chain => chain.announceEvery(blocks)
  },
  'block-ms': value => {
    const ms = whole(value, 20)
    return chain => chain.setBlockTime(ms)
  },
  register: value => {
    const ss58 = given(value)
    return chain => chain.register(ss58)
  },
  deregister: value => {
    const ss58 = given(value)
    return chain => chain.deregister(ss58)
  },
}

export const MISHAPS: readonly string[] = Object.keys(KINDS)

/** Reads `BLOCKS:WHAT[:VALUE]`, e.g. `40:reorg:3`. Throws RangeError with what is wrong. */
export function parseMishap(text: string): Mishap {
  const [after = '', kind = '', value] = text.split(':')
  const make = KINDS[kind]
  if (!make) throw new RangeError(`'${text}': what happens is one of ${MISHAPS.join(', ')}`)
  try {
    return { after: whole(after, 1), text, happen: make(value) }
  } catch (error) {
    throw new RangeError(`'${text}': ${(error as Error).message}`)
  }
}

/** What is due at this many blocks after the start, taken off the list. */
export function takeDue(mishaps: Mishap[], blocks: number): Mishap[] {
  const due = mishaps.filter(({ after }) => after <= blocks)
  for (const mishap of due) mishaps.splice(mishaps.indexOf(mishap), 1)
  return due
}

function whole(text: string | undefined, least: number): number {
  const number = Number(text)
  if (text === undefined || text === '' || !Number.isInteger(number) || number < least)
    throw new RangeError(`'${text ?? ''}' is no whole number of ${least} or more`)
  return number
}

function given(value: string | undefined): string {
  if (!value) throw new RangeError('an ss58 address is needed')
  return value
}
