import { parseReadyMarker } from './paths.js'

/**
 * The checkpoint that window `before` is mined and validated with: of those ready in an earlier window, the one that
 * became ready last, the newest among equals (one-covenant/grail grail/infrastructure/checkpoint_consumer.py:1526-1600,
 * 54d6342). undefined when none is.
 *
 * A marker may appear seconds after its window has ended: list again before generating and before uploading, and discard
 * the window when the answer has changed.
 * @param keys object keys under `grail/checkpoints/`
 */
export function latestReadyCheckpoint(keys: Iterable<string>, before: number): number | undefined {
  let best: { window: number; readyWindow: number } | undefined
  for (const key of keys) {
    const marker = parseReadyMarker(key)
    if (!marker || marker.readyWindow >= before) continue
    if (
      !best ||
      marker.readyWindow > best.readyWindow ||
      (marker.readyWindow === best.readyWindow && marker.window > best.window)
    )
      best = marker
  }
  return best?.window
}
