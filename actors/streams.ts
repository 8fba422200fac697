/** The journal of every window: the source every actor folds its state from. */
export const EVENTS = 'GRAIL_EVENTS'
/** Indices taken back from dead generators. */
export const REISSUE = 'GRAIL_REISSUE'
/** The one consumer of the reissue queue. */
export const REISSUE_CONSUMER = 'generators'
/** Object store of staged groups. */
export const ROLLOUTS = 'GRAIL_ROLLOUTS'
/** Object store of the file's parts on their way to the bucket. */
export const PARTS = 'GRAIL_PARTS'
/** KV: who is alive. */
export const FLEET = 'GRAIL_FLEET'
/** KV: which instance of a role is active. */
export const LEASES = 'GRAIL_LEASES'
/** KV: settings that may change while running. */
export const CONFIG = 'GRAIL_CONFIG'
