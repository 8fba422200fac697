import { openDirBucket } from '../../../src/bucket/dir.js'
import { CheckpointError } from '../../../src/checkpoint/checkpoint-error.js'
import { host, published, watched } from './host.js'

// A process that wants a checkpoint: cache-process BUCKET CACHE WINDOW [HANG-AT]. One request after the other, it says `get KEY`
// for each, `hang` at number HANG-AT, which is never answered, `assembling` when it does, and at last `done FOLDER` or `failed CODE`.

const [bucketFolder = '', cacheFolder = '', window = '', hangAt = '0'] = process.argv.slice(2)
const bucket = openDirBucket({ folder: bucketFolder })
const pointer = await published(bucket, Number(window))
let requests = 0
const seen = watched(bucket)
const telling = {
  ...seen,
  async get(key: string, signal: AbortSignal, range?: { from: number; to: number }) {
    if (++requests === Number(hangAt)) {
      console.log('hang')
      await new Promise(() => setInterval(() => {}, 1_000))
    }
    const bytes = await seen.get(key, signal, range)
    console.log(`get ${key}`)
    return bytes
  },
}
await host(cacheFolder, telling, {
  parallel: 1,
  onProgress: ({ kind }) => kind === 'assembling' && console.log(kind),
})
  .ensure(pointer, new AbortController().signal)
  .then(
    ({ folder }) => console.log(`done ${folder}`),
    (error: Error) => console.log(`failed ${error instanceof CheckpointError ? error.code : error.stack}`),
  )
