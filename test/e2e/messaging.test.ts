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
  describe(`messages and actions on them over the real protocol, ${database}`, () => {
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
      const deleted = await device.event('message.deleted', { message_id: own.message_id })
      assert.equal(deleted.data.is_from_me, true)
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
  })
