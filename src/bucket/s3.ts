import { createHash } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { z } from 'zod'
import { type Bucket, BucketError, type OpenUpload, type PartFacts } from './bucket.js'
import { checkKey } from './key.js'
import { checkPartNumber, orderedParts } from './parts.js'
import { bare, objectFacts, present, readBody } from './s3-answers.js'
import { s3Error } from './s3-errors.js'
import { timeLimit } from './time-limit.js'

/** A connection that is not there after this long is not coming, ms: three SYNs are out by then. */
const CONNECT_MS = 5_000

export const s3Options = z.strictObject({
  /** https://<account>.r2.cloudflarestorage.com, http://127.0.0.1:9000, … */
  endpoint: z
    .url({ protocol: /^https?$/, error: 'the endpoint of an s3 bucket is a URL with http or https' })
    .refine(url => !/^https?:\/\/[^/]*@/.test(url), 'the endpoint may not hold a user name or password'),
  /** 'auto' on R2. */
  region: z.string().min(1).default('auto'),
  bucket: z.string().min(1, 'an s3 bucket needs a name'),
  accessKeyId: z.string().min(1, 'an s3 bucket needs an access key id'),
  secretAccessKey: z.string().min(1, 'an s3 bucket needs a secret access key'),
  /** Bucket in the path instead of the host name: what every self-hosted store and R2 take. */
  forcePathStyle: z.boolean().default(true),
  /** One request with its whole body may take this long, ms. */
  requestTimeoutMs: z.number().int().min(1).default(20_000),
  /** Entries of one page of a list; the store's own limit is 1000. */
  pageSize: z.number().int().min(1).max(1_000).default(1_000),
})
export type S3Options = z.input<typeof s3Options>

/**
 * Any S3-compatible store. Nothing is retried here: the caller owns the deadline. Errors and the value itself never show
 * the key pair.
 */
export function openS3Bucket(options: S3Options): Bucket {
  const { endpoint, region, bucket, accessKeyId, secretAccessKey, forcePathStyle, requestTimeoutMs, pageSize } =
    s3Options.parse(options)
  const place = `${endpoint.replace(/\/+$/, '')}/${bucket}`
  const client = withoutNodeWarning(
    () =>
      new S3Client({
        endpoint,
        region,
        forcePathStyle,
        credentials: { accessKeyId, secretAccessKey },
        maxAttempts: 1,
        // Newer checksum headers are refused or stored as data by several stores; Content-MD5 is known to all of them.
        requestChecksumCalculation: 'WHEN_REQUIRED',
        responseChecksumValidation: 'WHEN_REQUIRED',
        // A part is sent at once: asking first costs a round trip, and a whole second where a server does not know the question.
        expectContinueHeader: false,
        requestHandler: { connectionTimeout: Math.min(CONNECT_MS, requestTimeoutMs) },
      }),
  )

  /** One request under the caller's signal and our time limit, the reading of its body included. */
  const ask = async <T>(
    doing: string,
    changes: boolean,
    signal: AbortSignal,
    request: (options: { abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> => {
    signal.throwIfAborted()
    const limit = timeLimit(signal, requestTimeoutMs, () => new Error('time limit'))
    try {
      return await request({ abortSignal: limit.signal })
    } catch (error) {
      if (signal.aborted) throw signal.reason
      const where = { doing: `${doing} at ${place}`, changes }
      throw s3Error(error, limit.expired ? { ...where, timedOutMs: requestTimeoutMs } : where)
    } finally {
      limit.end()
    }
  }
  const read = <T>(
    doing: string,
    signal: AbortSignal,
    request: (options: { abortSignal: AbortSignal }) => Promise<T>,
  ) => ask(doing, false, signal, request)
  const change = <T>(
    doing: string,
    signal: AbortSignal,
    request: (options: { abortSignal: AbortSignal }) => Promise<T>,
  ) => ask(doing, true, signal, request)

  /** HEAD has no body to tell an absent object from an absent bucket: the bucket is asked for. */
  const throwWithoutBucket = async (signal: AbortSignal): Promise<void> => {
    try {
      await read('looking at the bucket', signal, o => client.send(new HeadBucketCommand({ Bucket: bucket }), o))
    } catch (error) {
      if (!(error instanceof BucketError)) throw error
      if (error.code === 'no-such-key')
        throw new BucketError('no-such-bucket', `there is no bucket ${place}: check its name and the endpoint`, 'never')
      // A key that may read objects and not ask for the bucket: then the absent object is all there is to say.
      if (error.code !== 'access-denied') throw error
    }
  }

  return {
    kind: 's3',
    place,

    async head(key, signal) {
      checkKey(key)
      try {
        const out = await read(`HEAD ${key}`, signal, o =>
          client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), o),
        )
        return objectFacts(key, out.ContentLength, out.ETag, out.LastModified, out.Metadata)
      } catch (error) {
        if (!(error instanceof BucketError) || error.code !== 'no-such-key') throw error
        await throwWithoutBucket(signal)
        return undefined
      }
    },

    async get(key, signal, range) {
      checkKey(key)
      if (range && !(range.from >= 0 && range.from < range.to))
        throw new BucketError('invalid-range', `there is nothing from ${range.from} to ${range.to}`, 'never')
      const Range = range && `bytes=${range.from}-${range.to - 1}`
      return read(`GET ${key}`, signal, async o => {
        const out = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key, Range }), o)
        return readBody(out.Body, out.ContentLength, o.abortSignal)
      })
    },

    async *list(prefix, signal) {
      let token: string | undefined
      do {
        const page = new ListObjectsV2Command({
          Bucket: bucket,
          Prefix: prefix,
          MaxKeys: pageSize,
          ContinuationToken: token,
        })
        const out = await read(`listing ${prefix}`, signal, o => client.send(page, o))
        for (const { Key, Size, ETag, LastModified } of out.Contents ?? [])
          yield objectFacts(Key ?? '', Size, ETag, LastModified, {})
        token = out.IsTruncated ? out.NextContinuationToken : undefined
      } while (token !== undefined)
    },

    async put(key, body, signal, { metadata } = {}) {
      checkKey(key)
      const command = new PutObjectCommand({
        Bucket: bucket,
        Key: key,
        Body: body,
        ContentMD5: contentMd5(body),
        Metadata: metadata,
      })
      const out = await change(`PUT ${key}`, signal, o => client.send(command, o))
      return { etag: bare(out.ETag) }
    },

    async remove(key, signal) {
      checkKey(key)
      const command = new DeleteObjectCommand({ Bucket: bucket, Key: key })
      await change(`DELETE ${key}`, signal, o => client.send(command, o))
    },

    async openUpload(key, signal, { metadata } = {}) {
      checkKey(key)
      const command = new CreateMultipartUploadCommand({ Bucket: bucket, Key: key, Metadata: metadata })
      const out = await change(`opening an upload of ${key}`, signal, o => client.send(command, o))
      return { uploadId: present(out.UploadId, 'upload id') }
    },

    async putPart(key, uploadId, number, body, signal) {
      checkKey(key)
      checkPartNumber(number)
      const command = new UploadPartCommand({
        Bucket: bucket,
        Key: key,
        UploadId: uploadId,
        PartNumber: number,
        Body: body,
        ContentMD5: contentMd5(body),
      })
      const out = await change(`sending part ${number} of ${key}`, signal, o => client.send(command, o))
      return { number, etag: bare(out.ETag), bytes: body.length }
    },

    async listParts(key, uploadId, signal) {
      checkKey(key)
      const parts: PartFacts[] = []
      for (let marker: string | undefined; ; ) {
        const page = new ListPartsCommand({
          Bucket: bucket,
          Key: key,
          UploadId: uploadId,
          MaxParts: pageSize,
          PartNumberMarker: marker,
        })
        const out = await read(`listing the parts of ${key}`, signal, o => client.send(page, o))
        for (const { PartNumber = 0, ETag, Size = 0 } of out.Parts ?? [])
          parts.push({ number: PartNumber, etag: bare(ETag), bytes: Size })
        if (!out.IsTruncated || !out.NextPartNumberMarker) return parts
        marker = out.NextPartNumberMarker
      }
    },

    async complete(key, uploadId, parts, signal) {
      checkKey(key)
      const Parts = orderedParts(parts).map(({ number, etag }) => ({ PartNumber: number, ETag: etag }))
      const command = new CompleteMultipartUploadCommand({
        Bucket: bucket,
        Key: key,
        UploadId: uploadId,
        MultipartUpload: { Parts },
      })
      const out = await change(`completing ${key}`, signal, o => client.send(command, o))
      return { etag: bare(out.ETag) }
    },

    async abort(key, uploadId, signal) {
      checkKey(key)
      const command = new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId })
      try {
        await change(`aborting an upload of ${key}`, signal, o => client.send(command, o))
      } catch (error) {
        if (!(error instanceof BucketError) || error.code !== 'no-such-upload') throw error
      }
    },

    async listUploads(prefix, signal) {
      const uploads: OpenUpload[] = []
      for (let KeyMarker: string | undefined, UploadIdMarker: string | undefined; ; ) {
        const page = new ListMultipartUploadsCommand({
          Bucket: bucket,
          Prefix: prefix,
          MaxUploads: pageSize,
          KeyMarker,
          UploadIdMarker,
        })
        const out = await read(`listing the uploads under ${prefix}`, signal, o => client.send(page, o))
        for (const { Key = '', UploadId = '', Initiated } of out.Uploads ?? [])
          uploads.push({ key: Key, uploadId: UploadId, initiatedMs: Initiated?.getTime() ?? 0 })
        if (!out.IsTruncated || !out.NextKeyMarker) return uploads
        KeyMarker = out.NextKeyMarker
        UploadIdMarker = out.NextUploadIdMarker
      }
    },

    close() {
      client.destroy()
    },
  }
}

function contentMd5(body: Uint8Array): string {
  return createHash('md5').update(body).digest('base64')
}

/** The SDK warns once about Node's age when a client is made; the version it is pinned to runs on Node 20. */
function withoutNodeWarning<T>(make: () => T): T {
  const emitWarning = process.emitWarning
  process.emitWarning = ((warning: string | Error, ...rest: []) => {
    if (!String(warning).startsWith('NodeVersionSupportWarning')) emitWarning.call(process, warning, ...rest)
  }) as typeof process.emitWarning
  try {
    return make()
  } finally {
    process.emitWarning = emitWarning
  }
}
