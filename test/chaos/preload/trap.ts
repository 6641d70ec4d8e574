import { writeSync } from 'node:fs'
import type { Mark } from './marks.ts'

/** Which moment of its life is the gateway's last; comes in `CHAOS_TRAP` as JSON. */
export interface TrapPlan {
  readonly window: 'id_commit_to_send' | 'decrypt_to_commit' | 'commit_to_ack' | 'post_to_marked'
  /** How many such moments go by before. */
  readonly skip: number
  /** Turns of the event loop between the moment and the end; 0: at once. */
  readonly turns: number
}

/** The line by which the command learns that the trap was the cause. */
export const TRAP_LINE = 'chaos-trap '

const TRIGGER = {
  id_commit_to_send: 'accepted',
  decrypt_to_commit: 'journal',
  commit_to_ack: 'stored',
  post_to_marked: 'settled',
} as const satisfies Record<TrapPlan['window'], Mark['kind']>

/** Kills this process, with SIGKILL and so without any clean-up, at a chosen point of what it says to its database. */
export class Trap {
  readonly #plan: TrapPlan
  #left: number
  #fired = false

  constructor(plan: TrapPlan) {
    this.#plan = plan
    this.#left = plan.skip
  }

  /** A transaction with these statements is durable now. */
  onCommitted(marks: readonly Mark[]): void {
    if (this.#plan.window !== 'post_to_marked') this.#look(marks)
  }

  /** A statement is about to run: what it would change is not durable and will not become so. */
  onStatement(mark: Mark): void {
    if (this.#plan.window === 'post_to_marked') this.#look([mark])
  }

  #look(marks: readonly Mark[]): void {
    if (this.#fired) return
    for (const mark of marks) {
      if (mark.kind !== TRIGGER[this.#plan.window] || this.#left-- > 0) continue
      this.#fired = true
      this.#end(mark, this.#plan.turns)
      return
    }
  }

  #end(mark: Mark, turns: number): void {
    if (turns > 0) {
      setImmediate(() => this.#end(mark, turns - 1))
      return
    }
    writeSync(1, `${TRAP_LINE}${JSON.stringify({ window: this.#plan.window, ...mark })}\n`)
    process.kill(process.pid, 'SIGKILL')
  }
}
