export { judgeFile } from './judge.js'
export type { JudgeOptions } from './judge-options.js'
export { CannotJudge, type Counts, type Finding, PENALTY, type Verdict, type VerdictKind } from './verdict.js'
