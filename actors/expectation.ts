import type { GateExpectation } from '../src/protocol/gate.js'
import type { Opened } from './controller/messages.js'

/** What a group of a window must say about itself: the same for the generator that made it and the aggregator that takes it. */
export function expectationOf({
  window,
  epoch,
  opened,
}: {
  window: number
  epoch: number
  opened: Opened
}): GateExpectation {
  return {
    hotkey: opened.hotkey,
    window,
    epoch,
    windowHash: opened.hash,
    randomness: opened.randomness,
    checkpointWindow: opened.checkpoint.window,
    modelName: opened.checkpoint.modelName,
    // Metadata may carry none: then the engine's own is gone by what was computed of the files (generator/weights.ts), and
    // a file's groups by the first of them (aggregator/write-file.ts).
    ...(opened.checkpoint.weightsHash === '' ? {} : { weightsHash: opened.checkpoint.weightsHash }),
    environment: opened.checkpoint.environment,
  }
}
