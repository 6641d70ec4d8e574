import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EngineSession } from '../engine/index.ts'
import { ParleyError } from '../kernel/errors.ts'
import { silentLogger } from '../kernel/logger.ts'
import { GroupTimers } from './group-timers.ts'

const GROUP = '120363000000000001@g.us'

const setUp = (stored?: number) => {
  const calls: string[] = []
  let fault: Error | undefined
  const timers = new GroupTimers({
    chats: {
      find: async (_, chat) => {
        calls.push(`find ${chat}`)
        return (stored === undefined ? undefined : { disappearing: stored }) as never
      },
      setTimer: async (deviceId, chat, { seconds, setAt }) => {
        calls.push(`set ${deviceId} ${chat} ${seconds} ${setAt}`)
      },
    },
    logger: silentLogger,
  })
  const connection = (deviceId: string) =>
    ({
      deviceId,
      groupTimer: async (group: string) => {
        calls.push(`ask ${group}`)
        if (fault) throw fault
        return 60
      },
    }) as unknown as EngineSession
  return { timers, calls, connection, fail: (error: Error | undefined) => (fault = error) }
}

test('a group that nothing is known of is asked about once, for each device', async () => {
  const { timers, calls, connection } = setUp()
  for (const device of ['a', 'a', 'b']) await timers.learn(connection(device), GROUP)
  const one = [`find ${GROUP}`, `ask ${GROUP}`]
  assert.deepEqual(calls, [...one, `set a ${GROUP} 60 0`, ...one, `set b ${GROUP} 60 0`])
})

test('what is stored is not asked for, and people are not asked about at all', async () => {
  const { timers, calls, connection } = setUp(0)
  for (let i = 0; i < 3; i++) await timers.learn(connection('a'), GROUP)
  for (const chat of ['1@lid', '49151@s.whatsapp.net']) await timers.learn(connection('a'), chat)
  assert.deepEqual(calls, [`find ${GROUP}`])
})

test('where WhatsApp does not say, the message goes on its way, and the next one asks again', async () => {
  const { timers, calls, connection, fail } = setUp()
  fail(new ParleyError('forbidden', 'not a member'))
  await timers.learn(connection('a'), GROUP)
  fail(undefined)
  await timers.learn(connection('a'), GROUP)
  assert.equal(calls.filter((call) => call.startsWith('ask')).length, 2)
  assert.equal(calls.at(-1), `set a ${GROUP} 60 0`)
})

test('a database that is away stops the message', async () => {
  const { timers, connection, fail } = setUp()
  fail(new ParleyError('storage_unavailable', 'away'))
  await assert.rejects(timers.learn(connection('a'), GROUP), { code: 'storage_unavailable' })
})
