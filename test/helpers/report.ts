import { readFileSync } from 'node:fs'

// Reads tap's output and says what a person wants to know: what failed and why, what was skipped, and the count.
// usage: report.js FILE RUNNER_EXIT_CODE OTHER_FAILURES

/** Lines of a failure's diagnostics that are shown: enough for a diff, not for a page of handles. */
const SHOWN = 25
/** Characters of a title that are shown: an error that ends a test is its title, with all it has to tell. */
const TITLE = 300

interface Failure {
  path: string[]
  lines: string[]
}

const [file = '', runner = '0', others = '0'] = process.argv.slice(2)
const lines = readFileSync(file, 'utf8').split('\n')
const path: string[] = []
const failures: Failure[] = []
const skipped = new Set<string>()
let counts = ''
let open: Failure | undefined
for (const line of lines) {
  const depth = (line.length - line.trimStart().length) / 4
  const text = line.trim()
  const subtest = /^# Subtest: (.*)$/.exec(text)
  if (subtest) {
    path.length = Math.max(0, Math.floor(depth))
    path.push(subtest[1] as string)
    open = undefined
    continue
  }
  const skip = /^ok \d+ - (.*?) # SKIP ?(.*)$/.exec(text)
  if (skip) skipped.add(`${skip[1]}${skip[2] ? `: ${skip[2]}` : ''}`)
  const bad = /^not ok \d+ - (.*?)(?: # time=.*)?$/.exec(text)
  if (bad) {
    // A subtest that failed because something inside it did is said by that.
    const inside = failures.some(
      failure => failure.path.length > depth + 1 && failure.path[Math.floor(depth)] === bad[1],
    )
    open = inside ? undefined : { path: [...path.slice(0, Math.floor(depth)), bad[1] as string], lines: [] }
    if (open) failures.push(open)
    continue
  }
  if (/^(ok|1\.\.)/.test(text)) open = undefined
  if (open && open.lines.length < SHOWN && text !== '---' && text !== '...') open.lines.push(`      ${text}`)
  const total = /^# \{ (.*) \}$/.exec(text)
  if (total) counts = total[1] as string
}

for (const failure of failures) {
  const titles = failure.path.map(title => (title.length > TITLE ? `${title.slice(0, TITLE)}…` : title))
  process.stdout.write(`FAILED ${titles.join(' > ')}\n${failure.lines.join('\n')}\n`)
}
for (const reason of skipped) process.stdout.write(`skipped ${reason}\n`)
const count = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(counts)?.[1] ?? 0)
let failed = count('fail') + Number(others)
// A crash at import, a hang or a runner that broke has no failed assertion of its own.
if (runner !== '0' && failed === 0) failed = 1
if (counts === '' && failed === 0) failed = 1
const skips = count('skip')
process.stdout.write(`${count('pass')} passed, ${failed} failed${skips > 0 ? `, ${skips} skipped` : ''}\n`)
process.exitCode = failed > 0 ? 1 : 0
