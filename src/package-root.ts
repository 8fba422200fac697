import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

function find(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder)
    if (parent === folder) throw new Error('no package.json above the program: was it moved out of its folder?')
    folder = parent
  }
  return folder
}

/** The folder with package.json, the same whether the code runs from the sources or from dist/. Files that are not compiled (Python, data) are found from here. */
export const packageRoot: string = find()
