import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Device } from '../support/e2e/device.ts'
import type { Phone, SeenMessage } from '../support/e2e/phone.ts'
import { type DatabaseKind, type Linked, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'
import { stopTestServer } from '../support/postgres.ts'

/** What the sandbox shows of a message beyond the common fields. */
interface Seen extends SeenMessage {
  readonly target_message_id: string | null
  readonly quoted_text: string | null
  readonly mentions: readonly string[]
  readonly forwarded: boolean
  readonly location: Readonly<Record<string, unknown>> | null
  readonly vcards: readonly string[]
  readonly poll: Readonly<Record<string, unknown>> | null
  readonly vote: { readonly poll_id: string; readonly options: readonly string[] | null } | null
  readonly disappearing_seconds: number | null
}

// biome-ignore lint/suspicious/noExplicitAny: as the reply is
type Shown = any

for (const database of ['sqlite', 'postgres'] as const satisfies readonly DatabaseKind[])
  describe(`polls, chats and presence over the real protocol, ${database}`, () => {
    let stage: Stage
    let ada: Linked
    let ben: Linked
    let cleo: Phone
    /** Ada is its admin. */
    let group: string
    let device: Device

    before(async () => {
      stage = await Stage.open({ database })
      cleo = await stage.whatsapp.person('Cleo')
      ;[ada, ben] = await Promise.all([stage.linked('Ada'), stage.linked('Ben')])
      group = await stage.whatsapp.group('Friends', ada.phone, ben.phone, cleo)
      device = ada.device
    })
    after(async () => {
      await stage?.[Symbol.asyncDispose]()
      if (database === 'postgres') await stopTestServer()
    })

    const seen = async (phone: Phone, id: string): Promise<Seen> => (await phone.message(id)) as Seen
    const about = (phone: Phone, type: string, target: string, fits: (one: Seen) => boolean = () => true) =>
      until(`${phone.name} sees a ${type} of ${target}`, async () =>
        ((await phone.messages()) as readonly Seen[]).findLast(
          (one) => one.type === type && one.target_message_id === target && fits(one),
        ),
      )
    const path = (chat: Phone | string, rest: string) =>
      `/chats/${encodeURIComponent(typeof chat === 'string' ? chat : chat.number)}${rest}`
    const history = async (chat: Phone | string, query = '', of: Device = device): Promise<readonly Shown[]> =>
      (await of.ok('GET', path(chat, `/messages${query}`))).data.messages
    const received = async (from: Phone, to: Phone | string, text: string, of: Device = device): Promise<string> => {
      const id = await from.write(to, text)
      await until(`the device has ${text}`, async () =>
        (await history(to === group ? group : from, '', of)).find((one) => one.message_id === id),
      )
      return id
    }

    /** A change that the phone of the account decrypted, with its MACs verified. */
    const change = (
      phone: Phone,
      type: string,
      fits: (index: readonly string[], value: Shown) => boolean = () => true,
    ) =>
      until(`${phone.name}'s phone has a change ${type}`, async () => {
        const { changes } = await phone.call<{ changes: readonly Shown[] }>('GET', '/chat-changes')
        return changes.findLast((one) => one.index[0] === type && fits(one.index, one.value))
      })
    const chat = async (who: Phone, of: Device = device): Promise<Shown> =>
      (await of.ok('GET', '/chats')).data.chats.find((one: Shown) => one.pn === who.jid)

    test('polls: set, voted in, changed, withdrawn, counted, deleted, in both directions', async () => {
      const options = ['Red', 'Blue', 'Grün 🟢']
      const { data: poll } = await device.ok('POST', path(group, '/polls'), { question: 'Which?', options })
      const id = poll.message_id as string
      assert.deepEqual((await seen(cleo, id)).poll, { question: 'Which?', options, selectable: 1 })
      await seen(ben.phone, id)
      await device.event('poll.created', { message_id: id, is_from_me: true })
      await ben.device.event('poll.created', { message_id: id, poll_name: 'Which?', options_count: 3 })
      const results = async (of: Device = device) => (await of.ok('GET', `/polls/${id}/results?chat_jid=${group}`)).data
      const tally = (wanted: Readonly<Record<string, number>>, of?: Device) =>
        until(`the tally is ${JSON.stringify(wanted)}`, async () => {
          const now = await results(of)
          const counts = Object.fromEntries(now.options.map((one: Shown) => [one.name, one.votes]))
          return options.every((name) => (counts[name] ?? 0) === (wanted[name] ?? 0)) && now
        })
      await cleo.call('POST', '/vote', { message_id: id, options: ['Red'] })
      const { data: vote } = await device.event('poll.vote', { poll_id: id })
      assert.deepEqual([vote.selected_options, vote.decrypted, vote.from_pn], [['Red'], true, cleo.jid])
      await device.event('poll.update', { poll_id: id })
      await device.event('poll.vote_decrypted', { poll_id: id })
      await tally({ Red: 1 })
      await cleo.call('POST', '/vote', { message_id: id, options: ['Blue'] })
      await tally({ Blue: 1 })
      for (const [chosen, wanted] of [
        [['Blue'], { Blue: 2 }],
        [['Grün 🟢'], { Blue: 1, 'Grün 🟢': 1 }],
      ] as const) {
        const { data } = await ben.device.ok('POST', `/polls/${id}/vote`, { chat_jid: group, options: chosen })
        assert.deepEqual((await seen(cleo, data.message_id)).vote, { poll_id: id, options: chosen })
        await tally(wanted)
        await tally(wanted, ben.device)
      }
      await ben.device.ok('POST', `/polls/${id}/vote`, { chat_jid: group, options: [], withdraw: true })
      await tally({ Blue: 1 })
      const { data: mine } = await device.ok('POST', `/polls/${id}/vote`, { chat_jid: group, options: ['Blue'] })
      assert.deepEqual((await seen(cleo, mine.message_id)).vote?.options, ['Blue'])
      const final = await tally({ Blue: 2 })
      assert.equal(final.total_voters, 2)
      assert.equal(final.options[1].voters.length, 2)
      await cleo.call('POST', '/vote', { message_id: id, options: [] })
      await device.event(
        'poll.vote',
        (event) => event.data.poll_id === id && String(event.data.selected_options) === '',
      )
      const left = await tally({ Blue: 1 })
      assert.deepEqual([left.total_voters, left.options[1].voters.length], [1, 1])
      await cleo.call('POST', '/vote', { message_id: id, options: ['Red'] })
      await tally({ Red: 1, Blue: 1 })

      const theirs = (
        await cleo.call<{ message_id: string }>('POST', '/poll', {
          to: ada.phone.number,
          question: 'Two?',
          options: ['a', 'b', 'c'],
          selectable: 0,
        })
      ).message_id
      await device.event('poll.created', { message_id: theirs, selectable_options: 0 })
      const { data: both } = await device.ok('POST', `/polls/${theirs}/vote`, {
        chat_jid: cleo.number,
        options: ['a', 'c'],
      })
      assert.deepEqual((await seen(cleo, both.message_id)).vote, { poll_id: theirs, options: ['a', 'c'] })

      for (const bad of [
        { question: 'x', options: ['a'] },
        { question: 'x', options: Array.from({ length: 13 }, (_, i) => `o${i}`) },
        { question: 'x', options: ['a', 'a'] },
        { question: ' ', options: ['a', 'b'] },
        { options: ['a', 'b'] },
      ])
        await device.refused(400, 'POST', path(group, '/polls'), bad)
      for (const bad of [
        { options: ['Red'] },
        { chat_jid: group, options: [] },
        { chat_jid: group, options: ['Pink'] },
        { chat_jid: group, options: ['Red', 'Blue'] },
        { chat_jid: group, options: ['Red'], withdraw: true },
      ])
        await device.refused(400, 'POST', `/polls/${id}/vote`, bad)
      await device.refused(404, 'POST', '/polls/NOBODY/vote', { chat_jid: group, options: ['Red'] })
      await device.refused(404, 'GET', '/polls/NOBODY/results')
      await device.refused(403, 'DELETE', `/polls/${theirs}`, { chat_jid: cleo.jid })
      await device.refused(404, 'DELETE', '/polls/NOBODY', { chat_jid: group })
      await device.refused(400, 'DELETE', `/polls/${id}`, {})
      await device.ok('DELETE', `/polls/${id}`, { chat_jid: group })
      await about(cleo, 'revoke', id)
      await device.refused(409, 'GET', `/polls/${id}/results`)
    })

    test('chats: archived, pinned, muted, read here and on the phone', async () => {
      await received(cleo, ada.phone, 'one more')
      assert.ok((await chat(cleo)).unread_count > 0)
      await device.ok('POST', path(cleo, '/pin'), { pin: true })
      assert.equal((await chat(cleo)).pinned, true)
      await change(ada.phone, 'pin_v1', (_, value) => value.pinAction.pinned === true)
      await device.event('chat.pin', { pinned: true, from_full: false })
      await device.ok('POST', path(cleo.lid, '/archive'), { archive: true })
      assert.deepEqual([(await chat(cleo)).archived, (await chat(cleo)).pinned], [true, false])
      await change(ada.phone, 'archive', (_, value) => value.archiveChatAction.archived === true)
      await device.event('chat.archive', { archived: true })
      assert.equal((await device.ok('GET', '/chats?archived=true')).data.chats.length, 1)
      await device.ok('POST', path(cleo, '/mute'), { muted: true, duration: 3_600 })
      const muted = await chat(cleo)
      assert.ok(muted.muted && Math.abs(Date.parse(muted.muted_until) - Date.now() - 3_600_000) < 60_000)
      await device.event('chat.mute', { muted: true })
      await device.ok('POST', path(cleo, '/mute'), { muted: true })
      assert.deepEqual([(await chat(cleo)).muted, (await chat(cleo)).muted_until], [true, null])
      const unread = (await history(cleo)).find((one) => one.status === 'received')
      await device.ok('POST', path(cleo, '/mark-read'), { read: true })
      assert.equal((await chat(cleo)).unread_count, 0)
      await cleo.receipt(unread.message_id, 'read')
      await device.event('chat.mark_read', { read: true })
      await device.ok('POST', path(cleo, '/mark-read'), { read: false })
      assert.equal((await chat(cleo)).marked_unread, true)

      for (const [action, fits] of [
        ['archive', (one: Shown) => !one.archived],
        ['mute', (one: Shown) => !one.muted],
      ] as const) {
        await ada.phone.call('POST', '/chat', { chat: cleo.number, action, on: false })
        await until(`the phone's ${action} is here`, async () => fits(await chat(cleo)))
      }
      const { problems } = await stage.whatsapp.problems().then((list) => ({ problems: list }))
      assert.deepEqual(
        problems.filter(({ text }) => text.includes('app state')),
        [],
      )
      for (const [rest, bad] of [
        ['/archive', {}],
        ['/archive', { archive: 'yes' }],
        ['/pin', {}],
        ['/mute', {}],
        ['/mute', { muted: true, duration: -1 }],
        ['/mark-read', {}],
      ] as const) {
        await device.refused(400, 'POST', path(cleo, rest), bad)
      }
      await device.refused(422, 'POST', path('6281999999999', '/archive'), { archive: true })
      await device.refused(400, 'POST', path('0812', '/pin'), { pin: true })
    })

    test('chats that both sides change at once end up the same', async () => {
      const turns = Array.from({ length: 4 }, (_, i) => i)
      await Promise.all(
        turns.flatMap((i) => [
          device.ok('POST', path(ben.phone, '/archive'), { archive: i % 2 === 0 }),
          ada.phone.call('POST', '/chat', { chat: cleo.number, action: 'pin', on: i % 2 === 0 }),
        ]),
      )
      await device.ok('POST', path(cleo, '/pin'), { pin: true })
      await change(ada.phone, 'pin_v1', (_, value) => value.pinAction.pinned === true)
      assert.deepEqual(
        (await stage.whatsapp.problems()).filter(({ text }) => text.includes('app state')),
        [],
      )
    })

    test('history pages and is searched, by either name', async () => {
      for (let i = 0; i < 7; i++) await device.send(ben.phone, `page ${i} zażółć 東京`)
      const first = await history(ben.phone, '?limit=3')
      assert.deepEqual(
        first.map(({ text }) => text.slice(0, 6)),
        ['page 6', 'page 5', 'page 4'],
      )
      const second = await history(ben.phone.lid, `?limit=3&before=${first[2].message_id}`)
      assert.deepEqual(
        second.map(({ text }) => text.slice(0, 6)),
        ['page 3', 'page 2', 'page 1'],
      )
      assert.equal((await history(ben.phone, `?after=${first[1].message_id}`)).length, 1)
      assert.equal((await history(ben.phone, '?q=zazolc&limit=2')).length, 2)
      assert.equal((await history(ben.phone, `?q=${encodeURIComponent('東京')}`)).length, 7)
      assert.equal((await history(ben.phone, '?q=nowhere')).length, 0)
      assert.deepEqual(await history('628123456789'), [])
      for (const bad of ['?limit=0', '?limit=201', '?limit=x', '?before=NOBODY', '?after=NOBODY'])
        await device.refused(400, 'GET', path(ben.phone, `/messages${bad}`))
      const { data } = await device.ok('GET', '/chats?limit=1')
      const { data: rest } = await device.ok('GET', `/chats?limit=1&before=${data.next}`)
      assert.notEqual(rest.chats[0].chat_jid, data.chats[0].chat_jid)
      await device.refused(400, 'GET', '/chats?before=x')
    })

    test('timers, typing, availability and watching', async () => {
      await device.ok('PATCH', path(cleo, '/disappearing-timer'), { timer: '24h' })
      await until('Cleo sees the timer', async () =>
        ((await cleo.messages()) as readonly Seen[]).find((one) => one.disappearing_seconds === 86_400),
      )
      assert.equal((await chat(cleo)).disappearing_seconds, 86_400)
      await device.ok('PATCH', path(group, '/disappearing-timer'), { timer: '7d' })
      await device.ok('PATCH', path(group, '/disappearing-timer'), { timer: 'off' })
      await device.ok('PATCH', '/users/me/disappearing-timer', { timer: '90d' })
      for (const [where, bad] of [
        [path(cleo, '/disappearing-timer'), { timer: '1h' }],
        ['/users/me/disappearing-timer', {}],
      ] as const)
        await device.refused(400, 'PATCH', where, bad)

      const states = async () =>
        (await cleo.call<{ presences: readonly Shown[] }>('GET', '/presences')).presences
          .filter((one) => one.from === ada.phone.number)
          .map((one) => one.state)
      await device.ok('POST', path(cleo, '/presence'), { state: 'composing' })
      await device.ok('POST', path(cleo, '/presence'), { state: 'composing', media: 'audio' })
      await device.ok('POST', path(cleo, '/presence'), { presence_type: 'paused' })
      await until('Cleo sees typing, recording, an end', async () =>
        (await states()).join().endsWith('composing,recording,paused'),
      )
      for (const bad of [{}, { state: 'dancing' }]) await device.refused(400, 'POST', path(cleo, '/presence'), bad)
      await device.refused(422, 'POST', path('6281999999999', '/presence'), { state: 'paused' })
      await device.ok('POST', '/presence/status', { status: 'available' })
      await device.ok('POST', '/presence/status', { status: 'unavailable' })
      await device.refused(400, 'POST', '/presence/status', { status: 'away' })

      await device.ok('POST', '/presence/subscribe', { jid: cleo.number })
      await device.event('presence.update', { from_pn: cleo.jid, unavailable: false })
      await cleo.call('POST', '/availability', { available: false })
      const { data } = await device.event('presence.update', { from_pn: cleo.jid, unavailable: true })
      assert.ok(Math.abs(Date.parse(data.last_seen as string) - Date.now()) < 60_000)
      await device.refused(400, 'POST', '/presence/subscribe', {})
      await device.refused(400, 'POST', '/presence/subscribe', { jid: group })
      await device.refused(422, 'POST', '/presence/subscribe', { jid: '6281999999999' })
      await cleo.call('POST', '/typing', { to: ada.phone.number, state: 'recording' })
      await device.event('chat.presence', { sender_pn: cleo.jid, state: 'composing', media: 'audio' })
    })

    test('a deleted chat is gone here and on the phone', async () => {
      await device.ok('DELETE', path(ben.phone, ''), { delete_media: false })
      assert.deepEqual(await history(ben.phone), [])
      assert.equal(await chat(ben.phone), undefined)
      await device.event('chat.delete', { delete_media: false })
      await change(ada.phone, 'deleteChat')
      await device.refused(400, 'DELETE', path('0812', ''))
      stage.inbox.assertSchemas()
    })

    test('without a token, and without a connection', async () => {
      const { device: unlinked } = { device: await stage.newDevice() }
      const calls = [
        ['POST', path(cleo, '/locations'), { latitude: 1, longitude: 1 }],
        ['POST', path(cleo, '/contacts'), { name: 'x', phone: '62812345' }],
        ['POST', path(cleo, '/archive'), { archive: true }],
        ['POST', path(cleo, '/pin'), { pin: true }],
        ['POST', path(cleo, '/mute'), { muted: true }],
        ['POST', path(cleo, '/mark-read'), { read: true }],
        ['DELETE', path(cleo, ''), {}],
        ['POST', path(cleo, '/polls'), { question: 'x', options: ['a', 'b'] }],
        ['POST', path(cleo, '/presence'), { state: 'paused' }],
        ['POST', '/presence/status', { status: 'available' }],
        ['POST', '/presence/subscribe', { jid: cleo.jid }],
        ['PATCH', path(cleo, '/disappearing-timer'), { timer: 'off' }],
        ['PATCH', '/users/me/disappearing-timer', { timer: 'off' }],
      ] as const
      for (const [method, where, body] of calls) {
        await unlinked.refused(409, method, where, body)
        const anonymous = await device.call(method, where, { body, headers: { authorization: 'Bearer x' } })
        assert.equal(anonymous.status, 401, where)
      }
      assert.deepEqual((await unlinked.ok('GET', '/chats')).data.chats, [])
    })
  })
