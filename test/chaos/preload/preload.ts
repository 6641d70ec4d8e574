/**
 * Given to the gateway by `node --import`: watches, from outside of its code, what it tells its database, and kills the
 * process at the moment that `CHAOS_TRAP` names. `CHAOS_LIE_MS` takes the durability out of its commits.
 */
import { Trap, type TrapPlan } from './trap.ts'
import { watchPostgres } from './watch-postgres.ts'
import { watchSqlite } from './watch-sqlite.ts'

const plan = process.env.CHAOS_TRAP
const lie = process.env.CHAOS_LIE_MS
const trap = plan ? new Trap(JSON.parse(plan) as TrapPlan) : undefined
watchSqlite(trap, lie ? Number(lie) : undefined)
if (trap) watchPostgres(trap)
