import pg from 'pg'
import type { Logger } from '../../kernel/logger.ts'
import type { Database, Row, Sql, Work } from '../database.ts'
import { connectionConfig } from './connection.ts'
import { isAway, isRetryable, translatePostgresError } from './errors.ts'
import { escapeNul } from './text.ts'

const CONNECTIONS = 10
/** A statement that takes longer has lost its server, ms. The connection is then given up. */
const QUERY_TIMEOUT = 30_000
const IDLE_TIMEOUT = 30_000
/** How often a unit that lost a deadlock is tried. */
const ATTEMPTS = 4

type Executor = Pick<pg.Pool | pg.PoolClient, 'query'>

const forPostgres = (value: unknown): unknown => {
  if (typeof value === 'string') return escapeNul(value)
  if (value === undefined) return null
  return Array.isArray(value) ? value.map(forPostgres) : value
}

export class PostgresDatabase implements Database {
  readonly kind = 'postgres'
  readonly label: string
  readonly #pool: pg.Pool
  /** The last unit of each lane. */
  readonly #lanes = new Map<string, Promise<unknown>>()
  /** What is under way: closing waits for it. */
  readonly #running = new Set<Promise<unknown>>()
  #closed = false
  #statements = 0

  constructor(parts: { readonly uri: string; readonly label: string; readonly logger: Logger }) {
    this.label = parts.label
    this.#pool = new pg.Pool({
      ...connectionConfig(parts.uri, 'parley'),
      max: CONNECTIONS,
      query_timeout: QUERY_TIMEOUT,
      idleTimeoutMillis: IDLE_TIMEOUT,
    })
    // An idle connection was cut; the next statement opens another.
    this.#pool.on('error', (error) => parts.logger.warn({ err: error }, 'a database connection was lost'))
  }

  read<R = Row>(sql: Sql, ...params: readonly unknown[]): Promise<readonly R[]> {
    return this.#track(async () => (await this.#execute(this.#pool, sql, params)) as readonly R[])
  }

  readAll<T>(work: Work<T>): Promise<T> {
    return this.#track(() => this.#drive(this.#pool, work))
  }

  write<T>(work: () => Work<T>, lane?: string): Promise<T> {
    return this.#track(() => (lane === undefined ? this.#writeNow(work) : this.#writeInLane(work, lane)))
  }

  statementCount(): number {
    return this.#statements
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#running)
    if (!this.#pool.ending) await this.#pool.end()
  }

  async #track<T>(start: () => Promise<T>): Promise<T> {
    let running: Promise<T> | undefined
    try {
      if (this.#closed) throw new Error('Connection ended: the storage is closed')
      running = start()
      this.#running.add(running)
      return await running
    } catch (error) {
      throw translatePostgresError(error, this.label)
    } finally {
      if (running) this.#running.delete(running)
    }
  }

  /** Units of one lane wait for each other here, so that a busy device does not hold every connection. */
  async #writeInLane<T>(work: () => Work<T>, lane: string): Promise<T> {
    const before = this.#lanes.get(lane) ?? Promise.resolve()
    const unit = before.then(
      () => this.#writeNow(work),
      () => this.#writeNow(work),
    )
    this.#lanes.set(lane, unit)
    try {
      return await unit
    } finally {
      if (this.#lanes.get(lane) === unit) this.#lanes.delete(lane)
    }
  }

  async #writeNow<T>(work: () => Work<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#transaction(work)
      } catch (error) {
        if (attempt >= ATTEMPTS || !isRetryable(error)) throw error
      }
    }
  }

  async #transaction<T>(work: () => Work<T>): Promise<T> {
    const client = await this.#pool.connect()
    let broken: Error | undefined
    const onError = (error: Error) => {
      broken = error
    }
    client.on('error', onError) // without a listener a cut connection would end the process
    try {
      await client.query('begin')
      const result = await this.#drive(client, work())
      await client.query('commit')
      return result
    } catch (error) {
      if (isAway(error)) broken ??= error as Error
      else
        await client.query('rollback').catch((failure: Error) => {
          broken ??= failure
        })
      throw error
    } finally {
      client.off('error', onError)
      client.release(broken)
    }
  }

  async #drive<T>(executor: Executor, work: Work<T>): Promise<T> {
    let step = work.next([])
    while (!step.done) step = work.next(await this.#execute(executor, step.value.sql, step.value.params))
    return step.value
  }

  async #execute(executor: Executor, sql: Sql, params: readonly unknown[]): Promise<readonly Row[]> {
    this.#statements += 1
    const query = { text: sql.postgres, values: params.map(forPostgres) }
    const result = await executor.query(sql.name === undefined ? query : { ...query, name: sql.name })
    return result.rows as readonly Row[]
  }
}
