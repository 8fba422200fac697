export { type JudgeOptions, judgeFile } from './judge.js'
export { CannotJudge, type Counts, type Finding, PENALTY, type Verdict, type VerdictKind } from './verdict.js'
