import { BrokerError } from './errors.js'

// Where the buckets of NATS' own conventions keep their things: key-value (ADR-8) and objects (ADR-20).

export const kvStream = (bucket: string): string => `KV_${bucket}`
export const kvSubject = (bucket: string, key: string): string => `$KV.${bucket}.${key}`
export const objectStream = (bucket: string): string => `OBJ_${bucket}`

const BUCKET_NAME = /^[-\w]+$/
const KEY = /^(?!\.)[-/=.\w]+(?<!\.)$/

export function checkBucketName(name: string): void {
  if (!BUCKET_NAME.test(name))
    throw new BrokerError('invalid', `'${name}' cannot name a bucket: letters, digits, - and _ only`)
}

export function checkKey(key: string): void {
  if (!KEY.test(key))
    throw new BrokerError('invalid', `'${key}' cannot be a key: letters, digits and -/_=. only, no dot at the ends`)
}
