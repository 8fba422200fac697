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
export { type Broker, type BrokerInfo, type BrokerOptions, connectBroker } from './connect.js'
export { BrokerError, type BrokerErrorCode, type BrokerNext, brokerError, isBrokerError } from './errors.js'
export { type EventMeta, type Fold, type FoldOptions, fold } from './events.js'
export { type Announcement, type Holes, type Message, message, type ReadHoles } from './message.js'
export type { Patience } from './patience.js'
export { announce, type Stored, tell } from './publish.js'
export { lastOf, messageAt, type StoredMessage, subjects } from './read.js'
export type { BrokerStatus } from './status.js'
export { ensureStore, objectStore, openStore, type Store, type StoredObject } from './store.js'
export {
  type Drift,
  dropStream,
  type Ensured,
  ensure,
  journal,
  kvBucket,
  purgeSubject,
  type WantedConsumer,
  type WantedStream,
  workQueue,
} from './stream.js'
