// Everything others need to know of the broker. Nothing outside this folder imports anything but this file.

export { type Asked, answer, ask, type Question, question } from './ask.js'
export type { Broker, BrokerInfo } from './broker.js'
export {
  type ClaimBucketChoices,
  type ClaimEntry,
  type Claimed,
  claim,
  claimBucket,
  claims,
  dropClaimBucket,
  ensureClaimBucket,
  sealClaims,
} from './claim.js'
export { type BrokerOptions, connectBroker } from './connect.js'
export { type Drift, dropStream, type Ensured, type EnsureOptions, ensure, purgeSubject } from './ensure.js'
export { BrokerError, type BrokerErrorCode, type BrokerNext, brokerError, isBrokerError } from './errors.js'
export { type EventMeta, type Fold, type FoldOptions, fold } from './events.js'
export { holdLease, type Lease, type LeaseOptions } from './lease.js'
export { type Announcement, type Holes, type Message, message, type ReadHoles } from './message.js'
export { objectStore } from './object.js'
export { done, later, never, type Outcome } from './outcome.js'
export type { Patience } from './patience.js'
export {
  bePresent,
  type PresenceChange,
  type Present,
  presentKeys,
  type WatchOptions,
  watchPresence,
} from './presence.js'
export { announce, type Stored, tell } from './publish.js'
export { lastOf, messageAt, type StoredMessage, subjects } from './read.js'
export { renderServerConfig, type ServerSettings } from './server.js'
export type { BrokerStatus } from './status.js'
export { ensureStore, openStore, type Store, type StoredObject } from './store.js'
export {
  journal,
  kvBucket,
  type StreamChoices,
  type WantedConsumer,
  type WantedStream,
  workQueue,
} from './stream.js'
export { putValue, readValue, type Value } from './value.js'
export { pullOne, type WorkItem, type WorkOptions, waitingWork, work } from './work.js'
