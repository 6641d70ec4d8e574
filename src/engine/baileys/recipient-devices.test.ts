import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../kernel/errors.ts'
import { assertDevices, type DeviceLookUp } from './recipient-devices.ts'

const CHAT = '111@s.whatsapp.net'

/** `answers`: what the service says to the second query; undefined is silence. */
const lookUp = (devices: readonly string[], answer: object | undefined) => {
  let queries = 0
  const sock = {
    getUSyncDevices: async () => devices.map((jid) => ({ jid })),
    executeUSyncQuery: async () => {
      queries++
      return answer
    },
  }
  return { sock: sock as unknown as DeviceLookUp, queries: () => queries }
}

test('devices that are known are asked about no further', async () => {
  const { sock, queries } = lookUp([CHAT], undefined)
  await assertDevices(sock, CHAT, ['999'])
  assert.equal(queries(), 0)
})

test('silence is a timeout, which is tried again; an answer without devices ends the message', async () => {
  await assert.rejects(assertDevices(lookUp([], undefined).sock, CHAT, ['999']), (error) =>
    isParleyError(error, 'whatsapp_timeout'),
  )
  await assert.rejects(assertDevices(lookUp([], { list: [] }).sock, CHAT, ['999']), (error) =>
    isParleyError(error, 'whatsapp_refused'),
  )
})

test('a message to ourselves needs no other device', async () => {
  const { sock, queries } = lookUp([], undefined)
  await assertDevices(sock, CHAT, ['111'])
  assert.equal(queries(), 0)
})
