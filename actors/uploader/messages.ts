import { z } from 'zod'
import { message } from '../../nats/index.js'

const openPayload = z.strictObject({ attempt: z.number().int(), key: z.string(), uploadId: z.string() })
export type UploadOpened = z.infer<typeof openPayload>

/** A multipart upload was opened for an attempt of the file. After a crash the uploader goes on with it. */
export const uploadOpened = message('grail.window.{window:int}.{epoch:int}.file.uploadopened', {
  parse: value => openPayload.parse(value),
  id: ({ attempt, uploadId }, { window, epoch }) => `uploadopened.${window}.${epoch}.${attempt}.${uploadId}`,
})

const completedPayload = z.strictObject({ attempt: z.number().int(), key: z.string(), etag: z.string() })

/** The one call that makes the object visible was answered. */
export const completed = message('grail.window.{window:int}.{epoch:int}.file.completed', {
  parse: value => completedPayload.parse(value),
  id: ({ attempt }, { window, epoch }) => `completed.${window}.${epoch}.${attempt}`,
})

const uploadedPayload = z.strictObject({
  attempt: z.number().int(),
  key: z.string(),
  bytes: z.number().int(),
  etag: z.string(),
  sha256: z.string(),
  lastModifiedMs: z.number(),
  secondsLeft: z.number(),
  /** Seconds: from the seal to the verified object; opening, parts and completing within. */
  seconds: z.strictObject({ tail: z.number(), complete: z.number(), verify: z.number() }),
})
export type Uploaded = z.infer<typeof uploadedPayload>

/** The object was read back by HEAD: size, checksum and LastModified are as they must be. */
export const uploaded = message('grail.window.{window:int}.{epoch:int}.file.uploaded', {
  parse: value => uploadedPayload.parse(value),
  id: ({ attempt }, { window, epoch }) => `uploaded.${window}.${epoch}.${attempt}`,
})

const failedPayload = z.strictObject({
  reason: z.string(),
  /** Was everything of the window taken away from the bucket? */
  clean: z.boolean(),
})

/** There is no object of this window, and there will be none. */
export const uploadFailed = message('grail.window.{window:int}.{epoch:int}.file.uploadfailed', {
  parse: value => failedPayload.parse(value),
  id: ({ reason }, { window, epoch }) => `uploadfailed.${window}.${epoch}.${reason.slice(0, 40)}`,
})
