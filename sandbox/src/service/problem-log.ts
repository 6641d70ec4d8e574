import { type BinaryNode, describe } from '../wire/node.ts'

/** Something a client sent that WhatsApp would not accept, or that this service does not know. */
export interface Problem {
  /** Counts from 1 and never repeats; use it to ask for what is newer. */
  readonly sequence: number
  /** Milliseconds since 1970. */
  readonly at: number
  /** Device address, registration id or `connection`. */
  readonly from: string
  /** E.g. `unknown_stanza`, `malformed`, `bad_signature`, `unknown_device`. */
  readonly kind: ProblemKind
  readonly text: string
  /** The stanza as one line of text, bytes shown by their number only. */
  readonly stanza: string | undefined
}

export type ProblemKind =
  | 'unknown_stanza'
  | 'malformed'
  | 'bad_signature'
  | 'unknown_device'
  | 'missing_device'
  | 'forbidden'
  | 'handshake'
  | 'undecryptable'
  | 'refused'
  | 'internal'

export interface ProblemFilter {
  /** Only those after this sequence number. */
  readonly after?: number
  readonly from?: string
  readonly kind?: ProblemKind
}

export interface ProblemLogOptions {
  readonly clock: () => number
  /** Called for every new problem, e.g. to print it. */
  readonly report?: (problem: Problem) => void
  /** How many are kept; the oldest go first. */
  readonly capacity?: number
}

export class ProblemLog {
  readonly #options: ProblemLogOptions
  readonly #capacity: number
  #problems: Problem[] = []
  #sequence = 0

  constructor(options: ProblemLogOptions) {
    this.#options = options
    this.#capacity = options.capacity ?? 10_000
  }

  add(kind: ProblemKind, from: string, text: string, stanza?: BinaryNode): void {
    this.#sequence += 1
    const problem: Problem = {
      sequence: this.#sequence,
      at: this.#options.clock(),
      from,
      kind,
      text,
      stanza: stanza === undefined ? undefined : describe(stanza).slice(0, 2000),
    }
    this.#problems.push(problem)
    if (this.#problems.length > this.#capacity * 1.25) this.#problems = this.#problems.slice(-this.#capacity)
    this.#options.report?.(problem)
  }

  list(filter: ProblemFilter = {}): readonly Problem[] {
    return this.#problems.filter(
      (problem) =>
        problem.sequence > (filter.after ?? 0) &&
        (filter.from === undefined || problem.from === filter.from) &&
        (filter.kind === undefined || problem.kind === filter.kind),
    )
  }

  clear(): void {
    this.#problems = []
  }
}
