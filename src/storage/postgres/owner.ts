import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import type { Clock } from '../../kernel/clock.ts'
import { newUuid } from '../../kernel/ids.ts'
import type { Logger } from '../../kernel/logger.ts'
import { LOCK_CLASS, OWNER_LOCK, type OwnerLock, ownedElsewhere } from '../owner.ts'
import { connectionConfig } from './connection.ts'
import { translatePostgresError } from './errors.ts'

/** How often the connection that holds the lock is tried, ms, and how long it may take to answer. */
const HEARTBEAT = 15_000
const HEARTBEAT_TIMEOUT = 5000
const FIRST_RETRY = 100
const LAST_RETRY = 5000
/** A process that was killed just before us may hold the lock until the server has seen its connection close, ms. */
const GRACE = 500
const GRACE_STEP = 50
/** The server drops a session whose machine vanished after 10 + 3 * 5 s, instead of its two hours. */
const KEEPALIVE = 'set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3'

interface Parts {
  readonly uri: string
  readonly label: string
  readonly clock: Clock
  readonly logger: Logger
  /** Told once, when somebody else has taken over. */
  readonly onLost: (reason: Error) => void
}

/**
 * A session advisory lock on a connection of its own. It ends with the process; it also ends when the connection is
 * cut, so:
 *
 *   held -> (connection lost) -> retaking -> held        nobody else came: the epoch is still ours
 *                                         -> lost        somebody else raised the epoch: told once, for good
 *
 * While retaking, every write of Signal keys still checks the epoch, so nothing can go wrong in between.
 */
export class PostgresOwnerLock implements OwnerLock {
  readonly #parts: Parts
  readonly #stop = new AbortController()
  /** Names our own sessions, so that a half-dead one of ours can be told from another process'. */
  readonly #name = `parley owner ${newUuid()}`
  #client: pg.Client | undefined
  #epoch: number | undefined

  private constructor(parts: Parts) {
    this.#parts = parts
  }

  /** @throws conflict when another process has it; storage_unavailable */
  static async take(parts: Parts): Promise<PostgresOwnerLock> {
    const lock = new PostgresOwnerLock(parts)
    try {
      let client = await lock.#tryLock()
      for (let waited = 0; !client && waited < GRACE; waited += GRACE_STEP) {
        await setTimeout(GRACE_STEP) // real time: it is about the server's, whatever our clock says
        client = await lock.#tryLock()
      }
      if (!client) throw ownedElsewhere(parts.label)
      lock.#hold(client)
      return lock
    } catch (error) {
      throw translatePostgresError(error, parts.label)
    }
  }

  watch(epoch: number): void {
    this.#epoch = epoch
    void this.#beat()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#client?.end()
    this.#client = undefined
  }

  /** A connection that holds the lock, or undefined when another session has it. */
  async #tryLock(): Promise<pg.Client | undefined> {
    const client = new pg.Client({
      ...connectionConfig(this.#parts.uri, this.#name),
      query_timeout: HEARTBEAT_TIMEOUT,
    })
    client.on('error', () => undefined) // 'end' follows
    try {
      await client.connect()
      await client.query(KEEPALIVE)
      const { rows } = await client.query(`select pg_try_advisory_lock(${LOCK_CLASS}, ${OWNER_LOCK}) as held`)
      if (rows[0].held) return client
      await this.#isLost(client)
    } catch (error) {
      await client.end()
      throw error
    }
    await client.end()
    return undefined
  }

  #hold(client: pg.Client): void {
    this.#client = client
    client.once('end', () => {
      if (this.#client !== client || this.#stop.signal.aborted) return
      this.#client = undefined
      void this.#retake()
    })
  }

  async #beat(): Promise<void> {
    const { clock, logger } = this.#parts
    while (!this.#stop.signal.aborted) {
      try {
        await clock.sleep(HEARTBEAT, this.#stop.signal)
      } catch {
        return // closed
      }
      const client = this.#client
      try {
        await client?.query('select 1')
      } catch (error) {
        logger.warn({ err: error }, 'the connection that holds the owner lock does not answer')
        await client?.end()
      }
    }
  }

  async #retake(): Promise<void> {
    const { clock, logger, label } = this.#parts
    logger.warn({ database: label }, 'the connection that holds the owner lock was cut; taking it again')
    for (let wait = FIRST_RETRY; !this.#stop.signal.aborted; wait = Math.min(LAST_RETRY, wait * 2)) {
      try {
        const client = await this.#tryLock()
        if (client && this.#stop.signal.aborted) return await client.end()
        if (client) {
          this.#hold(client)
          if (await this.#isLost(client)) return
          logger.info({ database: label }, 'the owner lock is ours again')
          return
        }
      } catch (error) {
        logger.warn({ err: error, database: label }, 'the owner lock could not be taken again yet')
      }
      try {
        await clock.sleep(wait, this.#stop.signal)
      } catch {
        return // closed
      }
    }
  }

  /** Looks whether somebody else raised the epoch; if not, ends a half-dead session of ours that may hold the lock. */
  async #isLost(client: pg.Client): Promise<boolean> {
    if (this.#epoch === undefined) return false
    const { rows } = await client.query('select epoch from owner where id = 1')
    if (rows[0]?.epoch !== this.#epoch) {
      this.#stop.abort()
      this.#client = undefined
      this.#parts.onLost(ownedElsewhere(this.#parts.label))
      await client.end()
      return true
    }
    await client.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid()',
      [this.#name],
    )
    return false
  }
}
