import type BetterSqlite3 from 'better-sqlite3'

type Connection = BetterSqlite3.Database

interface Unit {
  readonly work: () => unknown
  readonly resolve: (value: never) => void
  readonly reject: (reason: unknown) => void
}

/** Longest wait for company, ms. */
const LONGEST_WAIT = 5

/**
 * Shares the price of the disk: units that arrive close together run in one transaction, each in its own savepoint, so
 * that a failing one is undone alone. A promise resolves only after the COMMIT.
 *
 * How long to wait: not at all when the last unit was alone (waiting for company that does not come would slow down a
 * caller who writes one thing after the other, and while a commit blocks the thread company gathers by itself). After
 * a group, twice its commit's duration, at most 5 ms, so that committing takes a third of the thread at most.
 * Real time, not a `clock`: this is about the disk, not about the day.
 */
export class GroupCommitter {
  readonly #connection: Connection
  readonly #translate: (error: unknown) => unknown
  readonly #begin: BetterSqlite3.Statement
  readonly #commit: BetterSqlite3.Statement
  readonly #rollback: BetterSqlite3.Statement
  readonly #savepoint: BetterSqlite3.Statement
  readonly #release: BetterSqlite3.Statement
  readonly #rollbackTo: BetterSqlite3.Statement
  #units: Unit[] = []
  #scheduled = false
  #notBefore = 0
  #closed = false

  constructor(connection: Connection, translate: (error: unknown) => unknown) {
    this.#connection = connection
    this.#translate = translate
    this.#begin = connection.prepare('begin immediate')
    this.#commit = connection.prepare('commit')
    this.#rollback = connection.prepare('rollback')
    this.#savepoint = connection.prepare('savepoint unit')
    this.#release = connection.prepare('release unit')
    this.#rollbackTo = connection.prepare('rollback to unit')
  }

  /** `work` runs synchronously, later; it must not start transactions of its own. */
  run<T>(work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed)
        return reject(this.#translate(Object.assign(new TypeError('The database connection is not open'))))
      this.#units.push({ work, resolve, reject })
      this.#schedule()
    })
  }

  /** Commits what waits and takes no more. */
  close(): void {
    this.#flush()
    this.#closed = true
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    const wait = this.#notBefore - performance.now()
    // Timers have a grain of 1 ms; below that the next turn is nearer.
    if (wait < 1) setImmediate(this.#flush)
    else setTimeout(this.#flush, wait)
  }

  readonly #flush = (): void => {
    this.#scheduled = false
    const units = this.#units
    if (units.length === 0) return
    this.#units = []
    const failures = new Map<Unit, unknown>()
    const results: unknown[] = []
    try {
      this.#begin.run()
      for (const unit of units) {
        const outcome = this.#runOne(unit, units.length > 1)
        results.push(outcome.result)
        if ('error' in outcome) failures.set(unit, outcome.error)
      }
      if (failures.size === units.length) this.#rollback.run()
      else {
        const started = performance.now()
        this.#commit.run()
        const ended = performance.now()
        if (units.length > 1) this.#notBefore = ended + Math.min(LONGEST_WAIT, 2 * (ended - started))
      }
    } catch (error) {
      if (this.#connection.inTransaction) this.#rollback.run()
      const reason = this.#translate(error)
      for (const unit of units) unit.reject(failures.get(unit) ?? reason)
      return
    }
    units.forEach((unit, index) => {
      if (failures.has(unit)) unit.reject(failures.get(unit))
      else unit.resolve(results[index] as never)
    })
  }

  /** @throws when the whole transaction is gone (disk full, I/O error): SQLite then rolls everything back by itself */
  #runOne(unit: Unit, shared: boolean): { result?: unknown; error?: unknown } {
    if (shared) this.#savepoint.run()
    try {
      const result = unit.work()
      if (shared) this.#release.run()
      return { result }
    } catch (error) {
      if (!this.#connection.inTransaction) throw error
      if (shared) {
        this.#rollbackTo.run()
        this.#release.run()
      }
      return { error: this.#translate(error) }
    }
  }
}
