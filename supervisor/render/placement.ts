import type { Gpu, GpuInventory } from '../../src/engine/gpus.js'
import { ConfigError } from '../config/config-error.js'
import { cardConflict, type GeneratorConfig, type GpuName } from '../config/generators.js'
import { cardsOf } from '../gpus.js'

/** Where a generator runs: what its supervisor's section says. */
export interface Placement {
  /** CUDA_VISIBLE_DEVICES, by UUID where the cards are known, in the order of cardsOf(). */
  visible: string[]
  /** e.g. '0-11,96-107'; '' does not bind to cores. */
  cores: string
  numa?: number
}

export interface Placements {
  generators: Placement[]
  /** What was found and what was made of it, a sentence each, for the head of the file. */
  said: string[]
}

/** "0-2,8" → 0, 1, 2, 8; '' → nothing. */
export function coresOf(text: string): number[] {
  return text
    .split(',')
    .filter(part => part !== '')
    .flatMap(part => {
      const [from, to = from] = part.split('-').map(Number)
      return Array.from({ length: to! - from! + 1 }, (_, i) => from! + i)
    })
}

function runsOf(cores: readonly number[]): number[][] {
  const runs: number[][] = []
  for (const core of [...cores].sort((a, b) => a - b)) {
    const run = runs.at(-1)
    if (run && core === run.at(-1)! + 1) run.push(core)
    else runs.push([core])
  }
  return runs
}

/** 0, 1, 2, 8 → "0-2,8". */
export function textOf(cores: readonly number[]): string {
  return runsOf(cores)
    .map(run => (run.length === 1 ? `${run[0]}` : `${run[0]}-${run.at(-1)}`))
    .join(',')
}

/**
 * The n-th of `count` equal shares of some cores. Every run of cores is cut, not the list: "0-47,96-143" are cores and
 * their hyperthreads, so a share of both keeps a core's two threads with one generator. Runs too short to be cut are
 * shared as one list: sockets whose cores are numbered in turn ("0,2,4,…") have no others.
 */
export function shareOf(cores: readonly number[], count: number, n: number): number[] {
  const runs = runsOf(cores)
  const long = runs.filter(run => run.length >= count)
  const short = runs.filter(run => run.length < count).flat()
  return [...long, short].flatMap(run =>
    run.slice(Math.floor((run.length * n) / count), Math.floor((run.length * (n + 1)) / count)),
  )
}

/**
 * Fills in what the inventory leaves open: every generator is bound to cores beside its cards, shared evenly by those that
 * have them in common, and to their NUMA node. What was written by hand is kept, and checked against what was found.
 * @param found the cards of this host
 * @param allowed cores this process may run on: a container's may be fewer than the machine's; undefined: all
 * @throws ConfigError for a card that is not there or is two generators', and for cores that are not beside their card
 */
export function placeGenerators(
  generators: readonly GeneratorConfig[],
  found: GpuInventory,
  allowed?: readonly number[],
): Placements {
  const wanting = generators.filter(generator => cardsOf(generator).length > 0)
  const asTyped = ({ cores, numa, ...generator }: GeneratorConfig): Placement => ({
    visible: cardsOf(generator).map(String),
    cores,
    ...(numa === undefined ? {} : { numa }),
  })
  if (wanting.length === 0) return { generators: generators.map(asTyped), said: [] }
  if (found.mode === 'cpu')
    return {
      generators: generators.map(asTyped),
      said: [`${found.reason}; cards, cores and NUMA nodes are as the inventory has them`],
    }

  const said = found.gpus.map(describe)
  const chosen = generators.map((generator, number) => cardsOf(generator).map(name => card(found.gpus, name, number)))
  checkCards(generators, chosen)
  const near = (cards: readonly (Gpu | undefined)[]): number[] =>
    [...new Set(cards.flatMap(gpu => gpu?.cores ?? []))].filter(core => allowed === undefined || allowed.includes(core))
  const typed = new Set(generators.flatMap(({ cores }) => coresOf(cores)))

  const placed = generators.map((generator, number): Placement => {
    const cards = chosen[number]!
    const typedNames = cardsOf(generator)
    const visible = cards.map((gpu, at) => gpu?.uuid ?? String(typedNames[at]))
    const generating = cards.slice(0, generator.gpus.generate.length)
    const beside = near(generating)
    checkCores(generator, number, generating)
    const nodes = [...new Set(generating.flatMap(gpu => (gpu?.numaNode === undefined ? [] : [gpu.numaNode])))]
    const numa = generator.numa ?? (nodes.length === 1 ? nodes[0] : undefined)
    if (nodes.length > 1 && generator.numa === undefined)
      said.push(`generator-${number} has cards on NUMA nodes ${nodes.join(', ')}: its memory is not bound`)
    if (generator.cores !== '') return { visible, cores: generator.cores, ...(numa === undefined ? {} : { numa }) }
    // Who else has a card beside these cores, and leaves it to us where to run.
    const sharers = generators.flatMap((other, at) =>
      other.cores === '' && near(chosen[at]!.slice(0, other.gpus.generate.length)).some(core => beside.includes(core))
        ? [at]
        : [],
    )
    const free = beside.filter(core => !typed.has(core))
    const cores = textOf(shareOf(free, sharers.length, sharers.indexOf(number)))
    if (cores === '' && cards.length > 0)
      said.push(`generator-${number}: no cores of its own are known beside its cards, so it is not bound to any`)
    return { visible, cores, ...(numa === undefined ? {} : { numa }) }
  })
  return { generators: placed, said }
}

function describe({ index, uuid, name, memoryMiB, cores, numaNode }: Gpu): string {
  const place = cores === undefined ? 'nvidia-smi does not say where' : `NUMA node ${numaNode}, cores ${textOf(cores)}`
  return `GPU ${index}: ${name}, ${Math.round(memoryMiB / 1024)} GiB, ${uuid}; ${place}`
}

function card(gpus: readonly Gpu[], name: GpuName, number: number): Gpu | undefined {
  const gpu = gpus.find(({ index, uuid }) => (typeof name === 'number' ? index === name : uuid === name))
  // Slices of a card have no line of their own.
  if (!gpu && !String(name).startsWith('MIG-'))
    throw new ConfigError(
      `generator ${number} is to use GPU ${name}, but nvidia-smi lists ${gpus.map(({ index, uuid }) => `${index} (${uuid})`).join(', ')}: correct gpus in the inventory`,
    )
  return gpu
}

/** The inventory is checked for this too, but there a number and a UUID are two names. */
function checkCards(generators: readonly GeneratorConfig[], chosen: readonly (Gpu | undefined)[][]): void {
  const uses = generators.map((generator, number) => {
    const typed = cardsOf(generator)
    const names = new Map(typed.map((name, at) => [name, chosen[number]![at]?.uuid ?? String(name)]))
    const nameOf = (name: GpuName): string => names.get(name)!
    const again = typed.find((name, at) => typed.findIndex(other => nameOf(other) === nameOf(name)) !== at)
    if (again !== undefined)
      throw new ConfigError(`generator ${number} names card ${nameOf(again)} in two ways: name it in one`)
    return { generate: generator.gpus.generate.map(nameOf), prove: generator.gpus.prove.flat().map(nameOf) }
  })
  const conflict = cardConflict(uses)
  if (conflict !== undefined) throw new ConfigError(`${conflict}: correct gpus in the inventory`)
}

/** Cores typed in by hand that belong to another socket cost every transfer a hop, which nobody would notice. */
function checkCores(generator: GeneratorConfig, number: number, cards: readonly (Gpu | undefined)[]): void {
  const beside = new Set(cards.flatMap(gpu => gpu?.cores ?? []))
  if (generator.cores === '' || beside.size === 0) return
  const far = coresOf(generator.cores).filter(core => !beside.has(core))
  if (far.length > 0)
    throw new ConfigError(
      `generator ${number} is bound to cores ${generator.cores}, but ${textOf(far)} are not beside its cards, which have ${textOf([...beside])}: correct cores, or leave them out to have them found`,
    )
}
