import type { Store } from '../../nats/index.js'
import type { Bucket } from '../../src/bucket/bucket.js'
import type { ActorParts } from '../actor.js'
import type { OpenWindow } from '../windows.js'

/** What one window's delivery is built from. */
export interface DeliveryParts extends ActorParts {
  bucket: Bucket
  /** Object store of the file's parts. */
  parts: Store
  /** May this bucket take files of the rehearsal engine? */
  takesRehearsals: boolean
  /** May files of the window's profile go to a real bucket? */
  mayUpload(profile: string): boolean
  /** No later epoch of the window is known. */
  isLatest(window: OpenWindow): boolean
}

/** What the uploader is built from. */
export interface UploaderParts extends Omit<DeliveryParts, 'isLatest'> {
  host: string
  leaseMs: number
}
