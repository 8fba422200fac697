import { readFileSync, writeFileSync } from 'node:fs'
import { fileLock } from '../../../src/checkpoint/file-lock.js'

// A process that adds one to a number in a file, time and again, under a lock: lock-process FOLDER NUMBER-FILE TIMES; or takes
// the lock, says so and keeps it: lock-process FOLDER - 0.

const [folder = '', file = '', times = '0'] = process.argv.slice(2)
const lock = fileLock({ folder, now: Date.now, pollMs: 1 })
const never = new AbortController().signal
for (let i = 0; i < Number(times); i++) {
  const held = await lock('number', never)
  const before = Number(readFileSync(file, 'utf8'))
  // Gives the others every chance to come in between.
  await new Promise(resolve => setImmediate(resolve))
  writeFileSync(file, String(before + 1))
  await held.release()
}
if (times === '0') {
  await lock('number', never)
  console.log('held')
  setInterval(() => {}, 1_000)
}
