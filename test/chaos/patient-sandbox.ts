import type { RunningSandbox } from '../../scripts/lib/sandbox.ts'
import { sleep } from './sleep.ts'

const ATTEMPTS = 4
const PAUSE_MS = 100

/**
 * The sandbox, with calls made again when their connection broke: on a machine under load an idle connection is closed by
 * one side while the other takes it for its next request. Texts are left as they are, because the first try may have
 * gone through.
 */
export const makePatient = (sandbox: RunningSandbox): RunningSandbox => ({
  ...sandbox,
  call: async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    for (let attempt = 1; ; attempt++)
      try {
        return await sandbox.call<T>(method, path, body)
      } catch (error) {
        const isBroken = error instanceof TypeError && sandbox.program.process.exitCode === null
        if (!isBroken || attempt === ATTEMPTS || path.endsWith('/send')) throw error
        await sleep(PAUSE_MS)
      }
  },
})
