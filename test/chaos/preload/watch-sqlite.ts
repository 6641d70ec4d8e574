import BetterSqlite3 from 'better-sqlite3'
import { type Mark, markOf } from './marks.ts'
import type { Trap } from './trap.ts'

type Run = (this: BetterSqlite3.Statement, ...params: unknown[]) => unknown

/** Lets the trap see every statement and every commit of `better-sqlite3`, and lets commits lie when `lieMs` says so. */
export const watchSqlite = (trap: Trap | undefined, lieMs: number | undefined): void => {
  const probe = new BetterSqlite3(':memory:')
  const prototype = Object.getPrototypeOf(probe.prepare('select 1')) as { run: Run; all: Run }
  probe.close()
  const original = { run: prototype.run, all: prototype.all }
  const lie = lieMs === undefined ? undefined : new LyingDisk(original.run, lieMs)
  let marks: Mark[] = []
  const watched = (method: 'run' | 'all'): Run =>
    function (...params) {
      const sql = this.source
      const mark = markOf(sql, params)
      if (mark) {
        trap?.onStatement(mark)
        marks.push(mark)
      }
      const result = lie?.takes(this) ? { changes: 0, lastInsertRowid: 0 } : original[method].apply(this, params)
      if (sql === 'commit') {
        const committed = marks
        marks = []
        trap?.onCommitted(committed)
      }
      if (sql === 'rollback') marks = []
      return result
    }
  prototype.run = watched('run')
  prototype.all = watched('all')
}

/**
 * A disk that says "written" and means "soon": what the gateway commits stays in one open transaction, which really
 * becomes durable every so many ms. The gateway itself sees all of it; a kill loses what came since. This is what
 * `synchronous = OFF` does at a power loss, brought about by a SIGKILL.
 */
class LyingDisk {
  readonly #run: Run
  readonly #everyMs: number
  #flush: (() => void) | undefined

  constructor(run: Run, everyMs: number) {
    this.#run = run
    this.#everyMs = everyMs
  }

  /** True when the statement was swallowed. */
  takes(statement: BetterSqlite3.Statement): boolean {
    const { source, database } = statement
    if (source === 'begin immediate') {
      if (!this.#flush) this.#open(database)
      this.#run.call(database.prepare('savepoint said_to_be_durable'))
      return true
    }
    if (!this.#flush || (source !== 'commit' && source !== 'rollback')) return false
    if (source === 'rollback') this.#run.call(database.prepare('rollback to said_to_be_durable'))
    this.#run.call(database.prepare('release said_to_be_durable'))
    return true
  }

  #open(database: BetterSqlite3.Database): void {
    this.#run.call(database.prepare('begin immediate'))
    const timer = setTimeout(() => this.#flush?.(), this.#everyMs)
    this.#flush = () => {
      clearTimeout(timer)
      this.#flush = undefined
      if (database.open && database.inTransaction) this.#run.call(database.prepare('commit'))
    }
  }
}
