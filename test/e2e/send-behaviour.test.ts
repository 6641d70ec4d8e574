import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Phone } from '../support/e2e/phone.ts'
import { type Linked, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'
import { Samples } from '../support/media/samples.ts'

describe('how a device behaves as configured', () => {
  let stage: Stage
  let ada: Linked
  let cleo: Phone
  const home = mkdtempSync(join(tmpdir(), 'parley-behaviour-'))
  const caFile = join(home, 'ca.pem')

  before(async () => {
    stage = await Stage.open({
      env: {
        WHATSAPP_AUTO_MARK_READ: 'true',
        WHATSAPP_READ_RECEIPT_DELAY_MIN: '10ms',
        WHATSAPP_READ_RECEIPT_DELAY_MAX: '50ms',
        WHATSAPP_RATE_LIMIT_ENABLED: 'true',
        WHATSAPP_RATE_LIMIT_MSG_PER_MINUTE: '2',
        WHATSAPP_RATE_LIMIT_BURST_SIZE: '2',
        WHATSAPP_ISON_CACHE_ENABLED: 'true',
        WHATSAPP_TLS_CA_FILE: caFile,
      },
      sandboxArgs: ['--port', '0', '--tls-port', '0', '--ca-file', caFile],
    })
    cleo = await stage.whatsapp.person('Cleo')
    ada = await stage.linked('Ada')
  })
  after(async () => {
    await stage?.[Symbol.asyncDispose]()
    rmSync(home, { recursive: true, force: true })
  })

  test('what comes in is read by itself', async () => {
    const id = await cleo.write(ada.phone, 'did you see?')
    await cleo.receipt(id, 'read')
    const { data } = await ada.device.ok('GET', '/chats')
    assert.deepEqual([data.chats[0].last_message.message_id, data.chats[0].unread_count], [id, 0])
  })

  test('a device that sends too much is told when again; reactions are free', async () => {
    const id = await cleo.write(ada.phone, 'a burst, please')
    await ada.device.event('message.received', { message_id: id })
    for (const text of ['one', 'two']) await ada.device.send(cleo, text)
    const path = `/chats/${cleo.number}/messages`
    const refused = await ada.device.refused(429, 'POST', path, { text: 'three' })
    const wait = Number(refused.headers.get('retry-after'))
    assert.ok(wait >= 25 && wait <= 30, `Retry-After: ${wait}`)
    await ada.device.refused(429, 'POST', `/chats/${cleo.number}/locations`, { latitude: 1, longitude: 1 })
    await ada.device.refused(429, 'POST', `/chats/${cleo.number}/polls`, { question: 'x', options: ['a', 'b'] })
    await ada.device.ok('POST', `/messages/${id}/reaction`, { chat_jid: cleo.jid, emoji: '👍' })
    await cleo.message('👍')
  })

  test('what is refused is not uploaded, and costs nothing of the limit', async () => {
    const file = { base64: Buffer.from('a file').toString('base64') }
    const uploads = async () =>
      (await stage.whatsapp.process.call<{ files: readonly unknown[] }>('GET', '/sandbox/media')).files.length
    const before = await uploads()
    await ada.device.refused(429, 'POST', `/chats/${cleo.number}/documents`, file)
    const other = await stage.linked('Olga')
    for (let i = 0; i < 3; i++) {
      await other.device.refused(422, 'POST', '/chats/6281999999999/documents', file)
      await other.device.refused(404, 'POST', `/chats/${cleo.number}/documents`, {
        ...file,
        reply_to_message_id: 'NONE',
      })
    }
    assert.equal(await uploads(), before)
    for (let i = 0; i < 2; i++) await other.device.ok('POST', `/chats/${cleo.number}/documents`, file)
    assert.equal(await uploads(), before + 2)
    await other.device.refused(429, 'POST', `/chats/${cleo.number}/documents`, file)
  })

  test('presence and typing are shown where the configuration says so, and recording before a voice note', async () => {
    await stage.restart({ WHATSAPP_AUTO_PRESENCE_ENABLED: 'true', WHATSAPP_RATE_LIMIT_ENABLED: 'false' })
    await ada.device.untilConnected()
    using samples = new Samples()
    const base64 = (await samples.tone('note.wav', 1)).toString('base64')
    const dan = await stage.whatsapp.person('Dan')
    const states = async () =>
      (await dan.call<{ presences: { state: string; from: string }[] }>('GET', '/presences')).presences
        .filter(({ from }) => from === ada.phone.number)
        .map(({ state }) => state)
    // Ada's phone is online itself, which would hide what her companion does
    await ada.phone.setOnline(false)
    await dan.call('POST', '/watch', { to: ada.phone.number })
    await until('the first presence', async () => (await states()).length === 1)
    const shows = async (...wanted: readonly string[]) => {
      await until(`Dan sees ${wanted}`, async () => (await states()).join().endsWith(wanted.join()))
      return (await states()).length
    }
    await ada.device.send(dan, 'as configured')
    let count = await shows('available', 'composing', 'paused', 'unavailable')
    await ada.device.ok('POST', `/chats/${dan.number}/audio`, { base64, voice_note: true })
    count = await shows('available', 'recording', 'paused', 'unavailable')
    await ada.device.send(dan, 'not typed', { typing_simulation: false })
    count = await shows('paused', 'unavailable', 'available', 'unavailable')
    const quiet = await ada.device.send(dan, 'in silence', { presence_simulation: false })
    // who reacts types nothing
    await ada.device.ok('POST', `/messages/${quiet.message_id}/reaction`, { chat_jid: dan.jid, emoji: '👍' })
    await dan.message('👍')
    await stage.restart({
      WHATSAPP_AUTO_PRESENCE_ENABLED: 'true',
      WHATSAPP_AUTO_TYPING_ENABLED: 'false',
      WHATSAPP_RATE_LIMIT_ENABLED: 'false',
    })
    await ada.device.untilConnected()
    await ada.device.send(dan, 'typing is off')
    await dan.message('typing is off')
    await until('presence only', async () => (await states()).length === count + 2)
    assert.deepEqual((await states()).slice(-2), ['available', 'unavailable'])
  })
})

test('numbers of sends at the same time are looked up together, as many in a query as configured', async () => {
  await using stage = await Stage.open({ env: { WHATSAPP_ISON_BATCH_SIZE: '4' } })
  const ada = await stage.linked('Ada')
  const people = await Promise.all(Array.from({ length: 9 }, (_, i) => stage.whatsapp.person(`Person ${i}`)))
  const before = (await stage.whatsapp.metrics()).number_queries
  const send = (to: string, text: string) => ada.device.call('POST', `/chats/${to}/messages`, { body: { text } })
  const replies = await Promise.all([
    ...people.map(({ number }) => send(number, `to ${number}`)),
    send('6281999999999', 'to nobody'),
  ])
  assert.deepEqual(
    replies.map(({ status }) => status),
    [...people.map(() => 200), 422],
  )
  for (const phone of people) await phone.message(`to ${phone.number}`)
  const queries = (await stage.whatsapp.metrics()).number_queries - before
  // how many come while a query is on its way is the machine's business
  assert.ok(queries >= 3 && queries < 10, `${queries} queries for 10 numbers`)
  await stage.whatsapp.assertNoProblems()
})
