import { type PythonDict, type PythonJson, parsePythonJson } from '../../src/protocol/python-json.js'
import type { VectorFile } from './check.js'

const parsed = new WeakMap<VectorFile, PythonJson[]>()

/**
 * Case `index` as Python read it: integers and floats apart, integers of any size. Throws when the file carries no text.
 */
export function losslessCase(file: VectorFile, index: number): PythonDict {
  let cases = parsed.get(file)
  if (!cases) {
    const whole = parsePythonJson(file.text)
    cases = whole instanceof Map ? (whole.get('cases') as PythonJson[]) : []
    parsed.set(file, cases)
  }
  return cases[index] as PythonDict
}
