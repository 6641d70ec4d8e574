import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import type { Device } from '../support/e2e/device.ts'
import type { Phone } from '../support/e2e/phone.ts'
import { type Linked, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'

const SLOWLY = { presence_simulation: true, typing_simulation: true }

describe('sends that wait, and what they keep from nobody', () => {
  let stage: Stage
  let ada: Linked
  let cleo: Phone

  before(async () => {
    stage = await Stage.open({
      env: {
        WHATSAPP_TYPING_DELAY_MIN: '1500ms',
        WHATSAPP_TYPING_DELAY_MAX: '1500ms',
        WHATSAPP_ISON_CACHE_ENABLED: 'true',
      },
    })
    cleo = await stage.whatsapp.person('Cleo')
    ada = await stage.linked('Ada')
  })
  after(() => stage?.[Symbol.asyncDispose]())

  const messagesTo = ({ number }: Phone) => `/chats/${number}/messages`
  /** Resolves when one more indication that Ada types has come. */
  const untilTyping = async (begin: () => void): Promise<void> => {
    const count = async () =>
      (await cleo.call<{ presences: { state: string; from: string }[] }>('GET', '/presences')).presences.filter(
        ({ state, from }) => state === 'composing' && from === ada.phone.number,
      ).length
    const before = await count()
    begin()
    await until('Cleo sees Ada typing', async () => (await count()) > before)
  }

  test('a caller who goes away while a message is being typed does not cancel it', async () => {
    const caller = new AbortController()
    let call: Promise<unknown> = Promise.resolve()
    await untilTyping(() => {
      call = fetch(`${stage.anonymous.base}${messagesTo(cleo)}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${ada.device.token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ text: 'goes out all the same', ...SLOWLY }),
        signal: caller.signal,
      }).catch((error: unknown) => error)
    })
    caller.abort()
    assert.equal(((await call) as Error).name, 'AbortError')
    const seen = await cleo.message('goes out all the same')
    await until('the message has left', async () => {
      const { data } = await ada.device.ok('GET', `/messages/${seen.message_id}`)
      return data.status !== 'accepted'
    })
    assert.equal((await cleo.messages()).filter(({ text }) => text === 'goes out all the same').length, 1)
  })

  test('while messages are being typed, others overtake them: in the same chat, in others, from any caller', async () => {
    const dora = await stage.whatsapp.person('Dora')
    const slow: Promise<unknown>[] = []
    await untilTyping(() => {
      for (let i = 0; i < 50; i++)
        slow.push(ada.device.ok('POST', messagesTo(i % 2 ? dora : cleo), { text: `slow ${i}`, ...SLOWLY }))
    })
    for (const phone of [cleo, dora]) {
      await ada.device.ok('POST', messagesTo(phone), { text: 'quick' })
      await phone.message('quick')
      const texts = (await phone.messages()).map(({ text }) => text)
      assert.equal(texts.filter((text) => text?.startsWith('slow ')).length, 0)
    }
    await ada.device.ok('GET', '/chats')
    await Promise.all(slow)
    for (let i = 0; i < 50; i++) await (i % 2 ? dora : cleo).message(`slow ${i}`)
  })

  test('a device that is not back after 10 s: 409, and nothing goes out when it is', async () => {
    const { phone, device, jid } = await stage.linked('Jan')
    await stage.whatsapp.fault({ kind: 'fail_login', phone: phone.number, reason: 503, times: 1_000 })
    await stage.whatsapp.disconnect(jid, { mode: 'close' })
    await device.untilStatus(({ connected }) => !connected)
    const begun = performance.now()
    const refused = await device.refused(409, 'POST', messagesTo(cleo), { text: 'never' })
    assert.ok(performance.now() - begun >= 9_900)
    assert.equal(refused.data.error_code, 'not_connected')
    await stage.whatsapp.clearFaults()
    await device.untilConnected()
    await device.send(cleo, 'after it')
    await cleo.message('after it')
    assert.ok(!(await cleo.messages()).some(({ text }) => text === 'never'))
  })

  test('all devices of an API key share its messages of an hour', async () => {
    const key = await stage.newKey({ rate_limit_per_hour: 3 })
    const devices: Device[] = []
    for (const name of ['One', 'Two']) {
      const device = await stage.newDevice(name, key.apiKey)
      await device.link(await stage.whatsapp.person(name))
      devices.push(device)
    }
    const [one, two] = devices as [Device, Device]
    const { message_id: id } = await one.send(cleo, 'first')
    await two.send(cleo, 'second')
    await one.send(cleo, 'third')
    for (const device of devices) {
      const refused = await device.refused(429, 'POST', messagesTo(cleo), { text: 'fourth' })
      const wait = Number(refused.headers.get('retry-after'))
      assert.ok(wait > 1_100 && wait <= 1_200, `Retry-After: ${wait}`)
    }
    await one.ok('POST', `/messages/${id}/reaction`, { chat_jid: cleo.jid, emoji: '👍' })
    await ada.device.send(cleo, 'another key’s')
    await stage.admin.ok('PATCH', `/admin/api-keys/${key.id}`, { rate_limit_per_hour: 100 })
    await two.send(cleo, 'fourth after all')
  })

  test('a number is looked up once, whether somebody has it or not', async () => {
    const eve = await stage.whatsapp.person('Eve')
    const before = (await stage.whatsapp.metrics()).number_queries
    for (const text of ['one', 'two', 'three']) await ada.device.send(eve, text)
    assert.equal((await stage.whatsapp.metrics()).number_queries, before + 1)
    for (let i = 0; i < 3; i++)
      await ada.device.refused(422, 'POST', '/chats/6281777777777/messages', { text: 'anybody?' })
    assert.equal((await stage.whatsapp.metrics()).number_queries, before + 2)
    await stage.restart({ WHATSAPP_ISON_CACHE_ENABLED: 'false' })
    await ada.device.untilConnected()
    for (let i = 0; i < 2; i++)
      await ada.device.refused(422, 'POST', '/chats/6281777777777/messages', { text: 'anybody?' })
    await ada.device.send(eve, 'four')
    assert.equal((await stage.whatsapp.metrics()).number_queries, before + 4)
  })

  test('whose presence is watched is watched again on the next connection', async () => {
    await ada.device.ok('POST', '/presence/subscribe', { jid: cleo.number })
    await ada.device.event('presence.update', { from_pn: cleo.jid, unavailable: false })
    const connected = ada.device.events('connection.connected').length
    await stage.whatsapp.disconnect(ada.jid, { mode: 'close' })
    await until('Ada is back', async () => ada.device.events('connection.connected').length > connected)
    await until('the presence is told', async () => {
      await cleo.call('POST', '/availability', { available: false })
      await cleo.call('POST', '/availability', { available: true })
      return ada.device.events('presence.update').some(({ data }) => data.unavailable === true)
    })
  })

  test('availability needs the name of the account, which the phone tells after linking', async () => {
    const fay = await stage.whatsapp.person('Fay')
    const device = await stage.newDevice('unnamed')
    await fay.scan(await device.qr())
    await fay.setOnline(false)
    await device.untilConnected()
    const early = await device.refused(409, 'POST', '/presence/status', { status: 'available' })
    assert.equal(early.data.error_code, 'conflict')
    // without it nothing is shown, and the message goes out all the same
    await device.ok('POST', messagesTo(cleo), { text: 'unnamed', ...SLOWLY })
    await cleo.message('unnamed')
    await fay.setOnline(true)
    await until('the name is known', async () => {
      const { status } = await device.call('POST', '/presence/status', { body: { status: 'available' } })
      return status === 200
    })
  })

  test('a text that was sent more than 15 minutes ago is not edited any more', async () => {
    const sent = await ada.device.send(cleo, 'set in stone')
    await stage.stop()
    const database = new BetterSqlite3(stage.databaseUri.slice('sqlite:'.length))
    try {
      const { changes } = database
        .prepare('update messages set timestamp = timestamp - 901 where message_id = ?')
        .run(sent.message_id)
      assert.equal(changes, 1)
    } finally {
      database.close()
    }
    await stage.start()
    await ada.device.untilConnected()
    const body = { chat_jid: cleo.jid, text: 'set in sand' }
    const refused = await ada.device.refused(422, 'PATCH', `/messages/${sent.message_id}`, body)
    assert.equal(refused.data.error_code, 'unprocessable')
    await ada.device.ok('DELETE', `/messages/${sent.message_id}`, { chat_jid: cleo.jid })
  })

  test('nothing that the service saw was wrong', () => stage.whatsapp.assertNoProblems())
})
