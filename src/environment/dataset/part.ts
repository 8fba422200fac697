import type { z } from 'zod'

/** One split of one configuration of a public data set, as the Hugging Face hub names them. */
export interface DatasetPart<Row> {
  /** Hub repository, e.g. 'openai/gsm8k'. */
  repository: string
  /** Configuration, e.g. 'main'; '' when the repository has only one. */
  config: string
  /** e.g. 'train' */
  split: string
  /** Names of the file where it was published elsewhere than on the hub, e.g. 'HumanEval.jsonl.gz'. */
  aliases?: readonly string[]
  /** The fields a problem is made of; others are ignored. */
  row: z.ZodType<Row>
}

/** 'openai/gsm8k main train', for messages. */
export function partName({ repository, config, split }: DatasetPart<unknown>): string {
  return [repository, config, split].filter(Boolean).join(' ')
}

/** A data set that is absent, unreadable or not the one that was used before. The message says what to do. */
export class DatasetError extends Error {
  /** Is the place fine but without this part? */
  readonly absent: boolean
  constructor(message: string, options: { absent?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'DatasetError'
    this.absent = options.absent ?? false
  }
}
