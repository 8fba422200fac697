import { CheckpointError } from './checkpoint-error.js'
import type { Published, PublishedCheckpoint } from './published.js'

/** Most deltas put on one base. Anchors are ten windows apart, and a trainer keeps two of them: more is a mistake or malice. */
const MAX_LINKS = 64

/** Deltas and what they are put on. */
export interface DeltaChain<Base> {
  base: Base
  /** Oldest first. */
  links: readonly Published[]
}

/** How a chain's predecessors are found. */
export interface ChainSources<Base> {
  /** What is published of a window. */
  published(window: number): Promise<PublishedCheckpoint>
  /** The checkpoint as base, if it is in the cache; else undefined. */
  cached(published: PublishedCheckpoint): Promise<Base | undefined>
  /** The checkpoint as base, from its FULL form. Throws CheckpointError when that cannot be had. */
  full(published: PublishedCheckpoint): Promise<Base>
}

/**
 * Walks back from a delta to the nearest checkpoint that is cached or published in FULL
 * (one-covenant/grail grail/infrastructure/checkpoint_consumer.py:1023-1356, 54d6342). Where a FULL form turns out not to be
 * all there (at an anchor it is uploaded in the background), the walk goes on by its delta.
 * @throws CheckpointError 'chain' when the links lead nowhere
 */
export async function deltaChain<Base>(target: Published, sources: ChainSources<Base>): Promise<DeltaChain<Base>> {
  const links: Published[] = []
  for (let link = target; ; ) {
    links.unshift(link)
    const { window, previousWindow } = link.files
    if (previousWindow === undefined || previousWindow >= window)
      throw broken(
        target,
        `delta ${window} names ${previousWindow ?? 'nothing'} as the checkpoint it builds on`,
        'never',
      )
    if (links.length > MAX_LINKS)
      throw broken(target, `there is no FULL checkpoint within ${MAX_LINKS} deltas`, 'never')
    const previous = await sources.published(previousWindow)
    const cached = await sources.cached(previous)
    if (cached) return { base: cached, links }
    let missing = 'is not published any more'
    if (previous.full) {
      try {
        return { base: await sources.full(previous), links }
      } catch (error) {
        if (!(error instanceof CheckpointError) || error.code === 'disk-full' || error.code === 'lock-lost') throw error
        missing = `cannot be had: ${error.message}`
      }
    }
    if (!previous.delta) throw broken(target, `checkpoint ${previousWindow}, which it builds on, ${missing}`, 'later')
    link = previous.delta
  }
}

function broken(target: Published, why: string, next: 'later' | 'never'): CheckpointError {
  return new CheckpointError('chain', `the deltas of checkpoint ${target.files.window} lead nowhere: ${why}`, next)
}
