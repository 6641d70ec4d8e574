import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Device } from '../support/e2e/device.ts'
import type { Phone, SeenMessage } from '../support/e2e/phone.ts'
import { type DatabaseKind, type Linked, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'
import { stopTestServer } from '../support/postgres.ts'

/** What the sandbox shows of the timer of a message. */
interface Seen extends SeenMessage {
  readonly disappearing_seconds: number | null
  readonly expires_after: number | null
  readonly timer_set_at: number | null
  readonly timer_by_default: boolean
}

// biome-ignore lint/suspicious/noExplicitAny: as the reply is
type Shown = any

const DAY = 86_400
const WEEK = 604_800
const QUARTER = 7_776_000

for (const database of ['sqlite', 'postgres'] as const satisfies readonly DatabaseKind[])
  describe(`disappearing messages over the real protocol, ${database}`, () => {
    let stage: Stage
    let ada: Linked
    let ben: Linked
    let cleo: Phone
    let device: Device

    before(async () => {
      stage = await Stage.open({ database })
      cleo = await stage.whatsapp.person('Cleo')
      ;[ada, ben] = await Promise.all([stage.linked('Ada'), stage.linked('Ben')])
      device = ada.device
    })
    after(async () => {
      await stage?.[Symbol.asyncDispose]()
      if (database === 'postgres') await stopTestServer()
    })

    const path = (chat: Phone | string, rest: string) =>
      `/chats/${encodeURIComponent(typeof chat === 'string' ? chat : chat.number)}${rest}`
    const send = async (chat: Phone | string, text: string, of: Device = device): Promise<string> =>
      (await of.ok('POST', path(chat, '/messages'), { text })).data.message_id
    const seen = async (phone: Phone, id: string) => (await phone.message(id)) as Seen
    const expiry = async (phone: Phone, id: string) => (await seen(phone, id)).expires_after
    const timerOf = async (who: Phone | string, of: Device = device): Promise<number | null | undefined> =>
      (await of.ok('GET', '/chats')).data.chats.find((one: Shown) =>
        typeof who === 'string' ? one.chat_jid === who : one.pn === who.jid,
      )?.disappearing_seconds
    const timerIs = (who: Phone | string, seconds: number, of: Device = device) =>
      until(`the timer is ${seconds}`, async () => (await timerOf(who, of)) === seconds)

    test('a timer set here goes with every message that can carry it, and ends when it is switched off', async () => {
      assert.equal(await expiry(cleo, await send(cleo, 'for good')), null)
      const before = Math.floor(Date.now() / 1000)
      await device.ok('PATCH', path(cleo, '/disappearing-timer'), { timer: '24h' })
      await until('Cleo sees the timer', async () =>
        ((await cleo.messages()) as readonly Seen[]).find((one) => one.disappearing_seconds === DAY),
      )
      const text = await seen(cleo, await send(cleo, 'for a day'))
      assert.equal(text.expires_after, DAY)
      assert.ok(text.timer_set_at! >= before && text.timer_set_at! <= Date.now() / 1000)
      assert.equal(text.timer_by_default, false)
      for (const [rest, body] of [
        ['/locations', { latitude: 1, longitude: 2 }],
        ['/contacts', { name: 'Eve', phone: '4915111111111' }],
        ['/polls', { question: 'Stay?', options: ['yes', 'no'] }],
      ] as const)
        assert.equal(await expiry(cleo, (await device.ok('POST', path(cleo, rest), body)).data.message_id), DAY, rest)
      const reply = await device.ok('POST', `/messages/${text.message_id}/reply`, {
        chat_jid: cleo.jid,
        text: 'and more',
      })
      const answered = await seen(cleo, reply.data.message_id)
      assert.deepEqual([answered.expires_after, answered.quoted_message_id], [DAY, text.message_id])
      const forward = { to_chat_jid: cleo.jid, chat_jid: cleo.jid }
      const passed = await device.ok('POST', `/messages/${text.message_id}/forward`, forward)
      assert.equal(await expiry(cleo, passed.data.message_id), DAY)
      // the timer is no message of the chat
      const { data } = await device.ok('GET', path(cleo, '/messages'))
      assert.ok(data.messages.every(({ type }: Shown) => type !== 'protocol'))
      await stage.restart()
      assert.equal(await expiry(cleo, await send(cleo, 'still for a day')), DAY)
      await device.ok('PATCH', path(cleo.lid, '/disappearing-timer'), { timer: 'off' })
      assert.equal(await timerOf(cleo), 0)
      assert.equal(await expiry(cleo, await send(cleo, 'for good again')), null)
    })

    test('a timer set by the other side, or on the phone, is kept; an older one changes nothing', async () => {
      await cleo.call('POST', '/timer', { to: ada.phone.number, seconds: WEEK })
      await timerIs(cleo, WEEK)
      assert.equal(await expiry(cleo, await send(cleo, 'for a week')), WEEK)
      await ada.phone.call('POST', '/timer', { to: cleo.number, seconds: QUARTER })
      await timerIs(cleo, QUARTER)
      assert.equal(await expiry(cleo, await send(cleo, 'for a quarter')), QUARTER)
      await cleo.call('POST', '/send-timed', { to: ada.phone.number, text: 'late', seconds: DAY, set_at: 1_000 })
      await device.event('message.received', { text: 'late' })
      assert.equal(await timerOf(cleo), QUARTER)
      // somebody's message may tell a timer that was set in no other way
      const now = Math.floor(Date.now() / 1000)
      const dora = await stage.whatsapp.person('Dora')
      await dora.call('POST', '/send-timed', { to: ada.phone.number, text: 'hello', seconds: WEEK, set_at: now })
      await timerIs(dora, WEEK)
      assert.equal(await expiry(dora, await send(dora, 'hello back')), WEEK)
      await dora.call('POST', '/timer', { to: ada.phone.number, seconds: 0 })
      await timerIs(dora, 0)
      assert.equal(await expiry(dora, await send(dora, 'bye')), null)
    })

    test('groups: their timer is found out, followed and set, where only admins may by nobody else', async () => {
      const group = await stage.whatsapp.lockedGroup('Old', ben.phone, ada.phone, cleo)
      await ben.phone.call('POST', '/timer', { to: group, seconds: DAY })
      assert.equal(await expiry(cleo, await send(group, 'first one there')), DAY)
      await timerIs(group, DAY)
      await device.refused(403, 'PATCH', path(group, '/disappearing-timer'), { timer: 'off' })
      assert.equal(await timerOf(group), DAY)
      await ben.device.ok('PATCH', path(group, '/disappearing-timer'), { timer: '7d' })
      await timerIs(group, WEEK)
      const text = await seen(cleo, await send(group, 'a week now'))
      assert.ok(text.expires_after === WEEK && text.timer_set_at! > 1_000_000_000)
      assert.equal(await expiry(cleo, await send(group, 'of Ben', ben.device)), WEEK)
      await device.refused(403, 'PATCH', path(group, '/disappearing-timer'), { timer: 'off' })
      await ben.device.ok('PATCH', path(group, '/disappearing-timer'), { timer: 'off' })
      await timerIs(group, 0)
      assert.equal(await expiry(cleo, await send(group, 'for good')), null)
      const open = await stage.whatsapp.group('Open', ben.phone, ada.phone, cleo)
      await device.ok('PATCH', path(open, '/disappearing-timer'), { timer: '90d' })
      assert.equal(await expiry(cleo, await send(open, 'a quarter')), QUARTER)
    })

    test('what changed while the device was away is caught up with', async () => {
      const group = await stage.whatsapp.group('Away', ada.phone, cleo)
      assert.equal(await expiry(cleo, await send(group, 'before')), null)
      await stage.stop()
      await cleo.call('POST', '/timer', { to: group, seconds: WEEK })
      await cleo.call('POST', '/timer', { to: ada.phone.number, seconds: DAY })
      await stage.start()
      await timerIs(group, WEEK)
      await timerIs(cleo, DAY)
      assert.equal(await expiry(cleo, await send(group, 'after')), WEEK)
    })

    test("the account's default holds for chats that begin here, set here or on the phone", async () => {
      const [eve, finn, gus] = await Promise.all(['Eve', 'Finn', 'Gus'].map((name) => stage.whatsapp.person(name)))
      assert.equal(await expiry(eve!, await send(eve!, 'begun before')), null)
      await device.ok('PATCH', '/users/me/disappearing-timer', { timer: '90d' })
      const first = await seen(finn!, await send(finn!, 'begun under the default'))
      assert.deepEqual([first.expires_after, first.timer_by_default], [QUARTER, true])
      assert.equal(await timerOf(finn!), QUARTER)
      const second = await seen(finn!, await send(finn!, 'and on'))
      assert.deepEqual([second.expires_after, second.timer_by_default], [QUARTER, false])
      assert.equal(await expiry(eve!, await send(eve!, 'as before')), null)
      await ada.phone.call('POST', '/default-timer', { seconds: DAY })
      const later = await until('the default of the phone counts', async () => {
        const next = await stage.whatsapp.person('Somebody')
        const one = await seen(next, await send(next, 'hello'))
        return one.expires_after === DAY && one
      })
      assert.equal(later.timer_by_default, true)
      await stage.restart()
      assert.equal(await expiry(gus!, await send(gus!, 'after a restart')), DAY)
      await device.ok('PATCH', '/users/me/disappearing-timer', { timer: 'off' })
    })

    test('a device that is linked later knows the default too', async () => {
      const [hana, ida] = await Promise.all([stage.whatsapp.person('Hana'), stage.whatsapp.person('Ida')])
      await hana!.call('POST', '/default-timer', { seconds: WEEK })
      const late = await stage.newDevice('late')
      await late.link(hana!)
      assert.equal(await expiry(ida!, await send(ida!, 'hello', late)), WEEK)
      assert.equal(await timerOf(ida!, late), WEEK)
      await stage.whatsapp.assertNoProblems()
    })
  })
