import pg from 'pg'
import { type Mark, markOf } from './marks.ts'
import type { Trap } from './trap.ts'

type Query = (this: pg.Client, ...given: unknown[]) => unknown

/** Lets the trap see every statement and every commit that goes to PostgreSQL. */
export const watchPostgres = (trap: Trap): void => {
  const prototype = pg.Client.prototype as unknown as { query: Query }
  const original = prototype.query
  const open = new WeakMap<pg.Client, Mark[]>()
  prototype.query = function (...given) {
    const [first] = given as [string | { text?: string; values?: readonly unknown[] }]
    const text = typeof first === 'string' ? first : (first.text ?? '')
    const mark = typeof first === 'string' ? undefined : markOf(text, first.values ?? [])
    if (text === 'begin') open.set(this, [])
    if (mark) {
      trap.onStatement(mark)
      open.get(this)?.push(mark)
    }
    const result = original.apply(this, given)
    if (text !== 'commit' || !(result instanceof Promise)) return result
    return result.then((answer: unknown) => {
      trap.onCommitted(open.get(this) ?? [])
      open.delete(this)
      return answer
    })
  }
}
