import { parquetMetadata, type SchemaElement } from 'hyparquet'
import { sorted } from './parquet-rows.js'

// biome-ignore lint/suspicious/noExplicitAny: a case of a vector file
type Case = any

/** Footer facts as another reader (hyparquet) sees them, in pyarrow's words. */
export function footerOf(bytes: Uint8Array) {
  const metadata = parquetMetadata(bytes)
  const leaves: Case[] = []
  const lines: string[] = []
  let next = 1
  const walk = (path: string[], definition: number, repetition: number, depth: number) => {
    const element = metadata.schema[next++] as SchemaElement
    const here = [...path, element.name]
    const def = definition + (element.repetition_type === 'REQUIRED' ? 0 : 1)
    const rep = repetition + (element.repetition_type === 'REPEATED' ? 1 : 0)
    const isText = element.converted_type === 'UTF8' || element.logical_type?.type === 'STRING'
    const indent = '  '.repeat(depth)
    const kind = element.repetition_type?.toLowerCase()
    if (element.num_children) {
      const isList = element.converted_type === 'LIST' || element.logical_type?.type === 'LIST'
      lines.push(`${indent}${kind} group ${element.name}${isList ? ' (List)' : ''} {`)
      for (let i = 0; i < element.num_children; i++) walk(here, def, rep, depth + 1)
      lines.push(`${indent}}`)
      return
    }
    const type = { BYTE_ARRAY: 'binary' }[element.type as string] ?? element.type?.toLowerCase()
    lines.push(`${indent}${kind} ${type} ${element.name}${isText ? ' (String)' : ''};`)
    leaves.push({
      path: here.join('.'),
      physical: element.type,
      logical: isText ? 'String' : 'None',
      max_def: def,
      max_rep: rep,
    })
  }
  for (let i = 0; i < (metadata.schema[0]?.num_children ?? 0); i++) walk([], 0, 0, 1)
  const keyValues = Object.fromEntries((metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value]))
  const { 'ARROW:schema': arrowSchema, ...texts } = keyValues
  const chunks = (metadata.row_groups[0]?.columns ?? []).map(({ meta_data: meta }) => ({
    path: meta?.path_in_schema.join('.'),
    compression: meta?.codec,
    encodings: [...(meta?.encodings ?? [])].sort(),
    stats: meta?.statistics !== undefined,
  }))
  return {
    leaves,
    chunks,
    schema: lines,
    keyValues: sorted(texts),
    hasArrowSchema: arrowSchema !== undefined,
    version: metadata.version === 2 ? '2.6' : '1.0',
  }
}

export function chunksOf(columns: Case[]): Case[] {
  return columns.map(column => ({ ...column, encodings: [...column.encodings].sort() }))
}

/** The lines of a printed Parquet schema between the root's braces. */
export function schemaLines(text: string): string[] {
  const lines = text
    .split('\n')
    .map(line => line.replace(' field_id=-1', '').trimEnd())
    .filter(line => line !== '')
  const root = lines.findIndex(line => line.startsWith('required group'))
  return lines.slice(root + 1, -1)
}
