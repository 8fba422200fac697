import { memoryOf } from '../measure/process.js'
import { lineChart } from '../report/line-chart.js'

/** Memory is looked at this often, ms. */
const LOOK_MS = 500
const MEGA = 1e6

/** Looks at the memory of processes until it is stopped. */
export interface MemoryWatch {
  stop(): void
  /** A curve for each process, over the seconds since the beginning. */
  picture(title: string): string
}

/** @param processes name and pid */
export function watchMemory(processes: readonly (readonly [string, number])[]): MemoryWatch {
  const began = performance.now()
  const series = processes.map(([name, pid]) => ({ name, pid, points: [] as [number, number][] }))
  const look = () => {
    const second = (performance.now() - began) / 1_000
    for (const { pid, points } of series) {
      const bytes = memoryOf(pid).now
      if (!Number.isNaN(bytes)) points.push([second, bytes / MEGA])
    }
  }
  look()
  const timer = setInterval(look, LOOK_MS)
  return {
    stop: () => clearInterval(timer),
    picture: title => lineChart({ title, x: { label: 'seconds' }, y: { label: 'memory in use, MB' }, series }),
  }
}
