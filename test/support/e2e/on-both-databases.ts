import { after, before, describe } from 'node:test'
import { stopTestServer } from '../postgres.ts'
import { type DatabaseKind, Stage, type StageOptions } from './stage.ts'

/** Baileys knows one Noise root per process, so both services have the same. */
const SAME_ROOT = ['--port', '0', '--seed', 'both-databases']

/**
 * Defines the same tests on SQLite and on PostgreSQL, each on a stage of its own. The two run side by side: most of
 * their time is waiting.
 */
export const onBothDatabases = (
  name: string,
  define: (stage: () => Stage) => void,
  options: StageOptions = {},
): void => {
  describe(name, { concurrency: 2 }, () => {
    for (const database of ['sqlite', 'postgres'] as const satisfies readonly DatabaseKind[])
      describe(database, { concurrency: 1 }, () => {
        let stage: Stage | undefined
        before(async () => {
          stage = await Stage.open({ sandboxArgs: SAME_ROOT, ...options, database })
        })
        after(() => stage?.[Symbol.asyncDispose]())
        define(() => stage!)
      })
    after(stopTestServer)
  })
}
