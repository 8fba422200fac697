import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { z } from 'zod'
import { DatasetError, type DatasetPart, partName } from './part.js'

/** Bytes an unpacked jsonl file may have: the largest of these data sets has 10 MB, and a wrong file must not fill memory. */
const MAX_UNPACKED_BYTES = 512 * 1024 * 1024

/**
 * The rows of a part, from its files in order.
 * @throws DatasetError naming file and row when one cannot be read or lacks a field
 */
export async function readRows<Row>(part: DatasetPart<Row>, files: readonly string[]): Promise<Row[]> {
  const rows: Row[] = []
  for (const file of files) {
    let raw: unknown[]
    try {
      raw = file.endsWith('.parquet') ? await readParquet(file) : await readJsonLines(file)
    } catch (cause) {
      throw new DatasetError(`${partName(part)}: ${file} cannot be read: ${(cause as Error).message}`, { cause })
    }
    for (const [index, value] of raw.entries()) {
      const parsed = part.row.safeParse(value)
      if (!parsed.success)
        throw new DatasetError(
          `${partName(part)}: row ${index} of ${file} is not of this data set: ${z.prettifyError(parsed.error)}`,
        )
      rows.push(parsed.data)
    }
  }
  return rows
}

async function readParquet(file: string): Promise<unknown[]> {
  return await parquetReadObjects({ file: await asyncBufferFromFile(file), compressors })
}

async function readJsonLines(file: string): Promise<unknown[]> {
  const bytes = await readFile(file)
  const unpacked = file.endsWith('.gz')
    ? await promisify(gunzip)(bytes, { maxOutputLength: MAX_UNPACKED_BYTES })
    : bytes
  return unpacked
    .toString('utf8')
    .split('\n')
    .filter(line => line.trim() !== '')
    .map((line, index) => {
      try {
        return JSON.parse(line) as unknown
      } catch (cause) {
        throw new Error(`line ${index + 1} is not JSON`, { cause })
      }
    })
}
