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
  describe(`messages, actions, polls and chats over the real protocol, ${database}`, () => {
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
    const stored = (chat: Phone | string, id: string, fits: (one: Shown) => boolean, of: Device = device) =>
      until(`message ${id} is as it should be`, async () =>
        (await history(chat, '', of)).find((one) => one.message_id === id && fits(one)),
      )
    const received = async (from: Phone, to: Phone | string, text: string, of: Device = device): Promise<string> => {
      const id = await from.write(to, text)
      await until(`the device has ${text}`, async () =>
        (await history(to === group ? group : from, '', of)).find((one) => one.message_id === id),
      )
      return id
    }

    test('texts mention people; places and cards arrive as they were meant', async () => {
      const { data: text } = await device.ok('POST', path(group, '/messages'), {
        text: `hello @${cleo.number}`,
        mentions: [cleo.number, ben.phone.lid],
      })
      assert.deepEqual((await seen(cleo, text.message_id)).mentions, [cleo.jid, ben.phone.lid])
      await device.refused(400, 'POST', path(group, '/messages'), { text: 'x', mentions: [group] })

      const place = { latitude: -6.2088, longitude: 106.8456, name: 'Jakarta', address: 'Jl. Medan' }
      const { data: pin } = await device.ok('POST', path(cleo, '/locations'), place)
      assert.deepEqual((await seen(cleo, pin.message_id)).location, place)
      const { data: zero } = await device.ok('POST', path(cleo, '/locations'), { latitude: 0, longitude: 0 })
      assert.equal((await seen(cleo, zero.message_id)).type, 'location')
      for (const bad of [
        {},
        { latitude: 1 },
        { latitude: 90.1, longitude: 0 },
        { latitude: 0, longitude: -181 },
        { latitude: '1', longitude: 1 },
      ])
        await device.refused(400, 'POST', path(cleo, '/locations'), bad)

      const { data: card } = await device.ok('POST', path(cleo, '/contacts'), {
        name: 'Jo; Doe, Jr',
        phone: '+62 812-345',
      })
      const [vcard] = (await seen(cleo, card.message_id)).vcards
      assert.match(
        vcard!,
        /^BEGIN:VCARD\nVERSION:3.0\nN:;Jo\\; Doe\\, Jr;;;\nFN:Jo\\; Doe\\, Jr\nTEL;.*waid=62812345:\+62812345\nEND:VCARD$/,
      )
      const { data: cards } = await device.ok('POST', path(group, '/contacts'), {
        contacts: [
          { name: 'A', phone: '62812345' },
          { name: 'B', phone: '62812346' },
        ],
      })
      assert.equal((await seen(cleo, cards.message_id)).vcards.length, 2)
      for (const bad of [
        {},
        { name: 'x' },
        { name: ' ', phone: '62812345' },
        { name: 'x\nTEL:+1', phone: '62812345' },
        { name: 'x', phone: '0812345' },
        { name: 'x', phone: '62812345', contacts: [{ name: 'B', phone: '62812346' }] },
      ])
        await device.refused(400, 'POST', path(cleo, '/contacts'), bad)
      await device.refused(422, 'POST', path('6281999999999', '/contacts'), { name: 'x', phone: '62812345' })
      const rows = await history(cleo)
      assert.deepEqual(rows.find((one) => one.message_id === pin.message_id).location, place)
      assert.equal(rows.find((one) => one.message_id === card.message_id).contacts[0].vcard, vcard)
    })

    test('reactions: to one’s own and to others’, in chats of two and in groups, changed and taken back', async () => {
      const theirs = await received(cleo, ada.phone, 'react to me')
      const own = await device.send(group, 'react to this')
      await cleo.message('react to this')
      for (const [chat, id] of [
        [cleo, theirs],
        [group, own.message_id],
      ] as const) {
        const chat_jid = typeof chat === 'string' ? chat : chat.jid
        await device.ok('POST', `/messages/${id}/reaction`, { chat_jid, emoji: '👍🏽' })
        assert.equal((await about(cleo, 'reaction', id)).text, '👍🏽')
        await stored(chat, id, (one) => one.reactions[0]?.emoji === '👍🏽' && one.reactions[0].is_from_me)
        await device.ok('POST', `/messages/${id}/reaction`, { chat_jid, emoji: '' })
        await stored(chat, id, (one) => one.reactions.length === 0)
      }
      await cleo.call('POST', '/react', { message_id: own.message_id, emoji: '🎉' })
      const { data } = await device.event('message.received', { type: 'reaction', target_message_id: own.message_id })
      assert.deepEqual([data.text, data.from_pn], ['🎉', cleo.jid])
      const row = await stored(group, own.message_id, (one) => one.reactions.length === 1)
      assert.equal(row.reactions[0].is_from_me, false)
      await stored(group, own.message_id, (one) => one.reactions[0]?.emoji === '🎉', ben.device)
      await cleo.call('POST', '/react', { message_id: own.message_id, emoji: '' })
      await stored(group, own.message_id, (one) => one.reactions.length === 0)

      await device.refused(404, 'POST', '/messages/NOBODY/reaction', { chat_jid: cleo.jid, emoji: '👍' })
      await device.refused(404, 'POST', `/messages/${theirs}/reaction`, { chat_jid: group, emoji: '👍' })
      for (const bad of [
        { emoji: '👍' },
        { chat_jid: 'x', emoji: '👍' },
        { chat_jid: cleo.jid, emoji: 'no' },
        { chat_jid: cleo.jid, emoji: '👍👍' },
      ])
        await device.refused(400, 'POST', `/messages/${theirs}/reaction`, bad)
    })

    test('edits: one’s own texts, within their time; others’ edits are shown with what it was', async () => {
      const sent = await device.send(cleo, 'tpyo')
      await cleo.message('tpyo')
      const { data } = await device.ok('PATCH', `/messages/${sent.message_id}`, { chat_jid: cleo.number, text: 'typo' })
      assert.equal((await about(cleo, 'edit', sent.message_id)).text, 'typo')
      assert.equal(data.target_message_id, sent.message_id)
      const row = await stored(cleo, sent.message_id, (one) => one.text === 'typo')
      assert.deepEqual([row.edits[0].text, typeof row.edited_at], ['tpyo', 'number'])

      const id = await received(cleo, group, 'at niin')
      await cleo.call('POST', '/edit', { message_id: id, text: 'at nine' })
      const told = await device.event('message.received', { type: 'edit', target_message_id: id })
      assert.equal(told.data.text, 'at nine')
      await stored(group, id, (one) => one.text === 'at nine' && one.edits[0].text === 'at niin')
      // a quote shows what it says now
      const { data: reply } = await device.ok('POST', `/messages/${id}/reply`, { chat_jid: group, text: 'fine' })
      const quote = await seen(cleo, reply.message_id)
      assert.deepEqual([quote.quoted_message_id, quote.quoted_text], [id, 'at nine'])

      await device.refused(403, 'PATCH', `/messages/${id}`, { chat_jid: group, text: 'mine' })
      await device.refused(404, 'PATCH', '/messages/NOBODY', { chat_jid: group, text: 'x' })
      for (const bad of [
        { text: 'x' },
        { chat_jid: group },
        { chat_jid: group, text: ' ' },
        { chat_jid: group, text: 'x'.repeat(65_537) },
      ])
        await device.refused(400, 'PATCH', `/messages/${sent.message_id}`, bad)
    })

    test('deletions: for everybody, by an admin, and for oneself', async () => {
      const own = await device.send(cleo, 'take me back')
      await cleo.message('take me back')
      await device.ok('DELETE', `/messages/${own.message_id}`, { chat_jid: cleo.jid })
      await about(cleo, 'revoke', own.message_id)
      const row = await stored(cleo, own.message_id, (one) => one.revoked_at !== null)
      assert.deepEqual([row.text, row.is_from_me], [null, true])
      await device.refused(409, 'DELETE', `/messages/${own.message_id}`, { chat_jid: cleo.jid })
      await device.refused(409, 'POST', `/messages/${own.message_id}/forward`, { to_chat_jid: cleo.jid })

      const theirs = await received(cleo, group, 'rude words')
      await received(cleo, group, 'rude words 2', ben.device)
      await ben.device.refused(403, 'DELETE', `/messages/${theirs}`, { chat_jid: group })
      await device.ok('DELETE', `/messages/${theirs}`, { chat_jid: group, sender_jid: cleo.jid })
      await about(cleo, 'revoke', theirs)
      await ben.device.event('message.deleted', { message_id: theirs })
      await stored(group, theirs, (one) => one.revoked_at !== null && one.text === null, ben.device)

      const direct = await received(cleo, ada.phone, 'only for me')
      await device.refused(403, 'DELETE', `/messages/${direct}`, { chat_jid: cleo.jid })
      await device.ok('DELETE', `/messages/${direct}`, { chat_jid: cleo.jid, for_me: true })
      assert.equal(
        (await history(cleo)).find((one) => one.message_id === direct),
        undefined,
      )
      await device.event('chat.delete_for_me', { message_id: direct })
      await change(ada.phone, 'deleteMessageForMe', (index) => index[2] === direct)

      const revoked = await received(cleo, ada.phone, 'never mind')
      await cleo.call('POST', '/revoke', { message_id: revoked })
      const { data } = await device.event('message.deleted', { message_id: revoked })
      assert.equal(data.deleted_by, cleo.lid)
      await stored(cleo, revoked, (one) => one.revoked_at !== null)
      await device.refused(404, 'DELETE', '/messages/NOBODY', { chat_jid: cleo.jid })
      await device.refused(400, 'DELETE', `/messages/${revoked}`, {})
    })

    test('read, forward, star', async () => {
      const id = await received(cleo, ada.phone, 'pass it on')
      const body = { chat_jid: cleo.jid, sender_jid: cleo.jid }
      await device.ok('POST', `/messages/${id}/read`, body)
      await cleo.receipt(id, 'read')
      await stored(cleo, id, (one) => one.status === 'read')
      for (const bad of [{ chat_jid: cleo.jid }, { sender_jid: cleo.jid }, { ...body, sender_jid: '?' }])
        await device.refused(400, 'POST', `/messages/${id}/read`, bad)
      await device.refused(404, 'POST', '/messages/NOBODY/read', body)

      const { data: forwarded } = await device.ok('POST', `/messages/${id}/forward`, { to_chat_jid: ben.phone.number })
      const there = await seen(ben.phone, forwarded.message_id)
      assert.deepEqual([there.text, there.forwarded], ['pass it on', true])
      await device.refused(404, 'POST', '/messages/NOBODY/forward', { to_chat_jid: ben.phone.number })
      await device.refused(422, 'POST', `/messages/${id}/forward`, { to_chat_jid: '6281999999999' })
      await device.refused(400, 'POST', `/messages/${id}/forward`, {})
      await device.refused(404, 'POST', '/messages/NOBODY/reply', { chat_jid: cleo.jid, text: 'x' })
      await device.refused(400, 'POST', `/messages/${id}/reply`, { chat_jid: cleo.jid })

      await device.ok('POST', `/messages/${id}/star`, { chat_jid: cleo.jid, star: true })
      await stored(cleo, id, (one) => one.starred)
      await change(ada.phone, 'star', (index) => index[2] === id && index[3] === '0')
      await ada.phone.call('POST', '/chat', { chat: cleo.number, action: 'star', message_id: id, on: false })
      await device.event('chat.star', { message_id: id, starred: false })
      await stored(cleo, id, (one) => !one.starred)
      await device.refused(404, 'POST', '/messages/NOBODY/star', { chat_jid: cleo.jid, star: true })
      await device.refused(400, 'POST', `/messages/${id}/star`, { chat_jid: cleo.jid })
    })

    test('polls: set, voted in, changed, withdrawn, counted, deleted, in both directions', async () => {
      const options = ['Red', 'Blue', 'Grün 🟢']
      const { data: poll } = await device.ok('POST', path(group, '/polls'), { question: 'Which?', options })
      const id = poll.message_id as string
      assert.deepEqual((await seen(cleo, id)).poll, { question: 'Which?', options, selectable: 1 })
      await seen(ben.phone, id)
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
