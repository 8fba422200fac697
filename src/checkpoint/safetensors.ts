import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { CheckpointError } from './checkpoint-error.js'

/** Largest header accepted, bytes: the limit of the format's own reader (huggingface/safetensors). */
const MAX_HEADER_BYTES = 100_000_000

/** Types of the format: torch's name and bytes per element. */
const TYPES: Readonly<Record<string, { torch: string; bytes: number }>> = {
  F64: { torch: 'float64', bytes: 8 },
  F32: { torch: 'float32', bytes: 4 },
  F16: { torch: 'float16', bytes: 2 },
  BF16: { torch: 'bfloat16', bytes: 2 },
  F8_E4M3: { torch: 'float8_e4m3fn', bytes: 1 },
  F8_E5M2: { torch: 'float8_e5m2', bytes: 1 },
  I64: { torch: 'int64', bytes: 8 },
  I32: { torch: 'int32', bytes: 4 },
  I16: { torch: 'int16', bytes: 2 },
  I8: { torch: 'int8', bytes: 1 },
  U8: { torch: 'uint8', bytes: 1 },
  BOOL: { torch: 'bool', bytes: 1 },
}

const size = z.int().nonnegative()
const entry = z.object({
  dtype: z.string().refine(name => Object.hasOwn(TYPES, name), 'an element type of the format'),
  shape: z.array(size),
  data_offsets: z.tuple([size, size]),
})
const header = z.record(z.string(), entry)

/** Where a tensor lies. */
export interface StoredTensor {
  name: string
  /** As torch names it, e.g. 'bfloat16'. */
  type: string
  shape: readonly number[]
  /** File below the checkpoint's folder. */
  file: string
  /** From the start of the file. */
  offset: number
  bytes: number
}

/** One file of weights. */
export interface WeightFile {
  file: string
  /** Bytes before the first tensor. */
  dataStart: number
  bytes: number
  /** In the order of the file, without gaps. */
  tensors: readonly StoredTensor[]
}

/** Is this a file of weights, by its path below a checkpoint's folder? Those in subfolders are no part of the model. */
export function isWeightFile(path: string): boolean {
  return path.endsWith('.safetensors') && !path.includes('/')
}

/**
 * The files of weights in a checkpoint's folder by name, with what they hold.
 * @throws CheckpointError 'malformed' for a file that is no safetensors file, and for a tensor that two files hold
 */
export async function readWeightFiles(folder: string): Promise<WeightFile[]> {
  const names = (await readdir(folder)).filter(isWeightFile).sort()
  const files: WeightFile[] = []
  const holders = new Map<string, string>()
  for (const name of names) {
    const file = await readWeightFile(folder, name)
    files.push(file)
    for (const tensor of file.tensors) {
      const other = holders.get(tensor.name)
      if (other !== undefined) throw malformed(folder, `${other} and ${name} both hold ${tensor.name}`)
      holders.set(tensor.name, name)
    }
  }
  return files
}

async function readWeightFile(folder: string, file: string): Promise<WeightFile> {
  const handle = await open(join(folder, file), 'r')
  try {
    const { size: bytes } = await handle.stat()
    const prefix = Buffer.alloc(8)
    const { bytesRead } = await handle.read(prefix, 0, 8, 0)
    const length = bytesRead === 8 ? Number(prefix.readBigUInt64LE()) : Number.NaN
    if (!(length <= Math.min(MAX_HEADER_BYTES, bytes - 8))) throw malformed(folder, `${file} has no whole header`)
    const text = Buffer.alloc(length)
    await handle.read(text, 0, length, 8)
    return { file, dataStart: 8 + length, bytes, tensors: tensorsOf(folder, file, text, 8 + length, bytes) }
  } finally {
    await handle.close()
  }
}

function tensorsOf(folder: string, file: string, text: Buffer, dataStart: number, bytes: number): StoredTensor[] {
  let json: unknown
  try {
    json = JSON.parse(text.toString('utf8'))
  } catch (cause) {
    throw malformed(folder, `the header of ${file} is not JSON`, cause)
  }
  if (typeof json === 'object' && json !== null) delete (json as Record<string, unknown>).__metadata__
  const parsed = header.safeParse(json)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw malformed(folder, `the header of ${file} is malformed: ${issue?.path.join('.')}: ${issue?.message}`)
  }
  const tensors = Object.entries(parsed.data)
    .map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => {
        const { torch, bytes: width } = TYPES[dtype]!
        if (to - from !== shape.reduce((product, count) => product * count, width))
          throw malformed(folder, `${name} in ${file} has ${to - from} bytes, its shape [${shape}] says otherwise`)
        return { name, type: torch, shape, file, offset: dataStart + from, bytes: to - from }
      },
    )
    .sort((a, b) => a.offset - b.offset || a.bytes - b.bytes)
  // The format wants the data whole: what lies between tensors could hide anything, and would not be hashed.
  let end = dataStart
  for (const tensor of tensors) {
    if (tensor.offset !== end) throw malformed(folder, `${tensor.name} in ${file} does not follow on the tensor before`)
    end += tensor.bytes
  }
  if (end !== bytes) throw malformed(folder, `${file} has ${bytes} bytes; its header tells of ${end}`)
  return tensors
}

function malformed(folder: string, why: string, cause?: unknown): CheckpointError {
  return new CheckpointError('malformed', `the weights in ${folder}: ${why}`, 'never', { cause })
}
