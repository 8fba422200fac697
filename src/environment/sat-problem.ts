import { createHash } from 'node:crypto'
import { PythonRandom } from '../protocol/python-random.js'

/** A 3-SAT problem. A literal is ±variable, variables count from 1. */
export interface SatProblem {
  /** Text the problem was derived from: the decimal seed. */
  seed: string
  variables: number
  clauses: number[][]
}

const MIN_VARIABLES = 4
const MAX_VARIABLES = 15
const MIN_CLAUSES = 5
const MAX_CLAUSES = 20
const CLAUSE_LENGTH = 3
/** Characters of the seed that the prompt shows. */
const SHOWN_SEED = 8

/** How hard the problem of `seed` is, 0.3 … 0.696 (grail/environments/providers.py:27-49, 54d6342). */
export function satDifficulty(seed: number): number {
  return 0.3 + (seed % 100) / 250
}

/** The problem of a u32 seed (grail/environments/sat_env.py:81-116, 54d6342). */
export function satProblem(seed: number): SatProblem {
  const material = String(seed)
  const difficulty = satDifficulty(seed)
  const random = new PythonRandom(createHash('sha256').update(material).digest())
  const between = (min: number, max: number) =>
    random.randint(min + Math.trunc((max - min) * difficulty * 0.5), min + Math.trunc((max - min) * difficulty))
  const variables = between(MIN_VARIABLES, MAX_VARIABLES)
  const count = between(MIN_CLAUSES, MAX_CLAUSES)
  const clauses = Array.from({ length: count }, () =>
    random
      .sampleRange(variables, Math.min(CLAUSE_LENGTH, variables))
      .map(index => (random.random() < 0.5 ? -(index + 1) : index + 1)),
  )
  return { seed: material, variables, clauses }
}

/** Text of the user message (grail/environments/sat_env.py:51-59, 119-127, 54d6342): every byte counts. */
export function satPrompt(problem: SatProblem): string {
  const lines = problem.clauses.map(
    clause => `  (${clause.map(literal => `${literal < 0 ? 'NOT ' : ''}x${Math.abs(literal)}`).join(' OR ')})\n`,
  )
  return [
    'SAT Problem:\n',
    `SAT Problem (seed: ${problem.seed.slice(0, SHOWN_SEED)}...):\n`,
    `Variables: ${problem.variables}\n`,
    'Clauses:\n',
    ...lines,
    '\nProvide your final assignment between <SOLUTION></SOLUTION> as space-separated 0/1 values for x1..xN ',
    '(e.g., <SOLUTION>0 1 0 1</SOLUTION>).\n',
  ].join('')
}

/** Does the assignment (one value per variable) satisfy every clause? */
export function satisfies(problem: SatProblem, assignment: readonly boolean[]): boolean {
  return (
    assignment.length === problem.variables &&
    problem.clauses.every(clause => clause.some(literal => assignment[Math.abs(literal) - 1] === literal > 0))
  )
}
