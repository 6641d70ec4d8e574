import { loadavg } from 'node:os'

/** A figure's bound, as `docs/` and the issue tracker write it. */
export type Budget = Readonly<Record<string, { readonly atMost: number } | { readonly atLeast: number }>>

export interface Bench {
  readonly budget: Budget
  /** Prepares, warms up, repeats and answers medians. `say` tells inputs and progress. */
  run(say: (line: string) => void, options: BenchOptions): Promise<Readonly<Record<string, number>>>
}

export interface BenchOptions {
  /** How long a bench that lasts as long as one likes is to last. */
  readonly minutes?: number
}

export interface BenchResult {
  readonly bench: string
  readonly figures: Readonly<Record<string, number>>
  readonly budget: Readonly<Record<string, string>>
  readonly ok: boolean
}

export const judge = (bench: string, figures: Readonly<Record<string, number>>, budget: Budget): BenchResult => {
  let ok = true
  const words: Record<string, string> = {}
  for (const [name, bound] of Object.entries(budget)) {
    const figure = figures[name]
    const held = figure !== undefined && ('atMost' in bound ? figure <= bound.atMost : figure >= bound.atLeast)
    ok &&= held
    words[name] = 'atMost' in bound ? `<= ${bound.atMost}` : `>= ${bound.atLeast}`
  }
  return { bench, figures, budget: words, ok }
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** To `digits` significant digits: a bench knows no more than that. */
export const round = (value: number, digits = 3): number => Number(value.toPrecision(digits))

/** How busy the machine is, for the record beside every figure in time. */
export const busyness = (): string => `load average ${loadavg()[0]!.toFixed(2)}`
