import { openBucket } from '../../src/bucket/index.js'
import type { S3Server } from './s3-server.js'
import type { WorldOptions } from './world.js'

/**
 * A world whose bucket is an S3 server. The test itself looks at the server, whatever lies between it and the actors.
 * @param options.endpoint where the actors find it, for example through a proxy; default: the server itself
 * @param options.requestMs a call that is not answered by then is given up, ms
 */
export function worldOnS3(
  s3: S3Server,
  options: { endpoint?: string; requestMs?: number } = {},
): Pick<WorldOptions, 'bucket' | 'env' | 'openBucket'> {
  const { endpoint, bucket, accessKeyId, secretAccessKey } = s3
  return {
    bucket: [
      'kind = "s3"',
      `endpoint = "${options.endpoint ?? endpoint}"`,
      `name = "${bucket}"`,
      `access_key_id = "${accessKeyId}"`,
      ...(options.requestMs === undefined ? [] : [`request_timeout_ms = ${options.requestMs}`]),
      'rehearsal = true',
    ].join('\n'),
    env: { R2_WRITE_SECRET_ACCESS_KEY: secretAccessKey },
    openBucket: () => openBucket({ kind: 's3', endpoint, region: 'auto', bucket, accessKeyId, secretAccessKey }),
  }
}
