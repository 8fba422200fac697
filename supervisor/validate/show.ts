import type { Finding, Verdict } from '../../src/validation/index.js'

/** Findings shown to people; --json has more of them. */
const SHOWN = 8

/** A verdict as lines for people. */
export function verdictLines(name: string, verdict: Verdict): string[] {
  const { counts, findings, findingsTotal } = verdict
  const reason = verdict.reason === null ? '' : ` (${verdict.reason})`
  const number = (value: number) => value.toLocaleString('en-US')
  const rows =
    verdict.verdict === 'accepted'
      ? `checked ${number(counts.checked)}, valid ${number(counts.valid)}, ${number(counts.unique)} different completions, counts as ${number(counts.estimatedUnique)}`
      : `checked ${number(counts.checked)}`
  const left = findingsTotal - Math.min(SHOWN, findings.length)
  return [
    name,
    `  verdict:  ${verdict.verdict}${reason}`,
    `  penalty:  ${verdict.penalty}`,
    `  file:     ${number(counts.rows)} rows in ${number(counts.groups)} groups, ${number(counts.bytes)} bytes; ${rows}`,
    `  findings: ${findingsTotal}`,
    ...findings.slice(0, SHOWN).map(finding => `    ${findingLine(finding)}`),
    ...(left > 0 ? [`    … and ${number(left)} more`] : []),
    ...verdict.notes.map(note => `  note:     ${note}`),
    ...verdict.unjudged.map(what => `  unjudged: ${what}`),
  ]
}

function findingLine(finding: Finding): string {
  const place = [
    ...(finding.row === undefined ? [] : [`row ${finding.row}`]),
    ...(finding.group === undefined ? [] : [`group ${finding.group}`]),
    ...(finding.nonce === undefined ? [] : [`nonce ${finding.nonce}`]),
    ...(finding.position === undefined ? [] : [`position ${finding.position}`]),
  ].join(', ')
  return `${finding.check} (${finding.severity})${place === '' ? '' : ` in ${place}`}: expected ${finding.expected}, found ${finding.actual}`
}
