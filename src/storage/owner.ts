import { ParleyError } from '../kernel/errors.ts'
import { type Database, query, queryOne, sql, type Work } from './database.ts'

/**
 * Ownership of a database. Two parts: a lock that ends with the process (dialect), and an epoch in the database that
 * whoever gets the lock raises. The lock keeps a second gateway from starting; the epoch stops the writes of one that
 * lost the lock without noticing (a cut connection).
 */
export interface OwnerLock extends AsyncDisposable {
  /** Told the epoch once it is raised. */
  watch(epoch: number): void
}

/** 0 means: opened without ownership; every write of Signal keys is then refused. */
export const NOT_OWNER = 0

/** PostgreSQL advisory locks, (classid, objid): "parl" in ASCII, then which one. */
export const LOCK_CLASS = 0x7061726c
export const OWNER_LOCK = 1
export const EPOCH_LOCK = 2
export const MIGRATION_LOCK = 3

/**
 * PostgreSQL: writers of keys share this lock and the raiser takes it alone, so that no write checked against the old
 * epoch commits after the new owner began to read. (Locking the row itself would write to it at every commit.)
 */
const shareEpoch = sql('owner_share', `select pg_advisory_xact_lock_shared(${LOCK_CLASS}, ${EPOCH_LOCK})`)
const holdEpoch = sql('owner_hold', `select pg_advisory_xact_lock(${LOCK_CLASS}, ${EPOCH_LOCK})`)
const raise = sql('owner_raise', 'update owner set epoch = epoch + 1 where id = 1 returning epoch')
const read = sql('owner_read', 'select epoch from owner where id = 1')

export const raiseEpoch = (database: Database): Promise<number> =>
  database.write(function* () {
    if (database.kind === 'postgres') yield* query(holdEpoch)
    return (yield* queryOne<{ epoch: number }>(raise))!.epoch
  })

export const readEpoch = async (database: Database): Promise<number> =>
  (await database.read<{ epoch: number }>(read))[0]!.epoch

/** `data.reason` of what is refused to a process that does not own the database (any more). */
const NOT_THE_OWNER = 'not_the_owner'

/** Inside a unit: holds the epoch still until the unit ends. @throws conflict when it is not `epoch` */
export function* checkEpoch(database: Database, epoch: number): Work<void> {
  if (epoch === NOT_OWNER)
    throw new ParleyError(
      'conflict',
      `this process does not own the database ${database.label}: it may not write keys`,
      { data: { reason: NOT_THE_OWNER } },
    )
  if (database.kind === 'postgres') yield* query(shareEpoch)
  const row = yield* queryOne<{ epoch: number }>(read)
  if (row?.epoch !== epoch)
    throw new ParleyError('conflict', `another process took over the database ${database.label}`, {
      data: { reason: NOT_THE_OWNER },
    })
}

export const ownedElsewhere = (label: string): ParleyError =>
  new ParleyError(
    'conflict',
    `another Parley process is using the database ${label}: stop it first, or give this one its own database`,
  )
