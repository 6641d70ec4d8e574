import { type Database, query, type Sql } from './database.ts'

/** Rows deleted in one transaction, so that other writes need not wait long. */
export const SLICE = 1000

/** Repeats `statement` (parameters: older than, at most; returns the rows that went) until a slice is not full. */
export const pruneInSlices = async (database: Database, statement: Sql, before: number): Promise<number> => {
  for (let total = 0; ; ) {
    const gone = await database.write(() => query(statement, before, SLICE))
    total += gone.length
    if (gone.length < SLICE) return total
  }
}
