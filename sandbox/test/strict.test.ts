import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createGroup } from './strict-client/groups.ts'
import { compareDigest, countPreKeys, fetchBundles } from './strict-client/keys.ts'
import { dataOf, make, part } from './strict-client/stanza.ts'
import type { StrictClient } from './strict-client/strict-client.ts'
import { nextAtPhone, World } from './support/strict.ts'

for (const addressing of ['lid', 'pn'] as const) {
  test(`a companion that writes to people by ${addressing} exchanges texts with a phone`, async () => {
    await using world = await World.start()
    const [ann, ben] = [world.person('Ann'), world.person('Ben')]
    await using client = await world.companion(ann, addressing)
    const id = await client.sendText(client.jidOf(ben.account), 'hello Ben')
    assert.equal((await nextAtPhone(ben, 'hello Ben')).messageId, id)
    const copy = await nextAtPhone(ann, 'hello Ben')
    assert.deepEqual([copy.fromMe, copy.chat], [true, ben.account.lidJid])
    const delivered = await client.receipts.take()
    assert.deepEqual([delivered.type, delivered.ids], ['delivered', [id]])
    await ben.phone.sendText(ann.account.lidJid, 'hello Ann')
    const received = await client.messages.take()
    assert.deepEqual([received.text, received.chat, received.fromMe], ['hello Ann', ben.account.lidJid, false])
    await client.sendText(client.jidOf(ben.account), 'in the open session')
    await nextAtPhone(ben, 'in the open session')
  })
}

test('two companions of two people talk, and their phones see it too', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using annWeb = await world.companion(ann)
  await using benWeb = await world.companion(ben)
  for (const [index, [from, to]] of turns(annWeb, benWeb, 6).entries()) {
    const chat = from === annWeb ? ben.account.lidJid : ann.account.lidJid
    const id = await from.sendText(chat, `turn ${index}`)
    const received = await to.messages.take()
    assert.deepEqual([received.id, received.text, received.author.device], [id, `turn ${index}`, 1])
  }
  for (const person of [ann, ben]) await nextAtPhone(person, 'turn 5')
})

test('two companions of one person each see what the other sends and what comes in', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using first = await world.companion(ann)
  await using second = await world.companion(ann)
  await first.notifications.take(({ attrs }) => attrs.type === 'devices')
  for (const [from, to] of turns(first, second, 4)) {
    const id = await from.sendText(ben.account.lidJid, 'from one of us')
    const copy = await to.messages.take()
    assert.deepEqual([copy.id, copy.fromMe, copy.chat], [id, true, ben.account.lidJid])
  }
  await ben.phone.sendText(ann.account.lidJid, 'to both')
  for (const client of [first, second]) assert.equal((await client.messages.take()).text, 'to both')
})

test('texts that cross each other all arrive, each once and in its order', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using annWeb = await world.companion(ann)
  await using benWeb = await world.companion(ben)
  const texts = Array.from({ length: 20 }, (_, index) => `burst ${index}`)
  const burst = async (from: StrictClient, chat: string) => {
    for (const text of texts) await from.sendText(chat, text)
  }
  await Promise.all([burst(annWeb, ben.account.lidJid), burst(benWeb, ann.account.lidJid)])
  for (const web of [annWeb, benWeb]) {
    const arrived: (string | undefined)[] = []
    while (arrived.length < texts.length) arrived.push((await web.messages.take(({ fromMe }) => !fromMe)).text)
    assert.deepEqual(arrived, texts)
    await web.settle()
    assert.deepEqual(web.messages.entries, [])
  }
})

test('a note to oneself reaches the other own devices only', async () => {
  await using world = await World.start()
  const ann = world.person('Ann')
  await using first = await world.companion(ann)
  await using second = await world.companion(ann)
  await first.sendText(ann.account.lidJid, 'buy milk')
  const note = await second.messages.take()
  assert.deepEqual([note.text, note.fromMe, note.chat], ['buy milk', true, ann.account.lidJid])
  assert.equal((await nextAtPhone(ann, 'buy milk')).chat, ann.account.lidJid)
})

test('a group of five: everybody reads everybody, sender keys and all', async () => {
  await using world = await World.start()
  const people = ['Ann', 'Ben', 'Cleo', 'Dan', 'Eve'].map((name) => world.person(name))
  const [ann, ben, cleo, ...others] = people
  await using annWeb = await world.companion(ann!)
  await using benWeb = await world.companion(ben!)
  await using cleoWeb = await world.companion(cleo!)
  const members = people.slice(1).map(({ account }) => account.lidJid)
  const group = await createGroup(annWeb.connection, 'Five', members)
  assert.equal(group.members.length, 5)
  for (const web of [benWeb, cleoWeb]) {
    const notice = await web.notifications.take(({ attrs }) => attrs.type === 'w:gp2')
    assert.deepEqual([notice.attrs.from, part(notice)?.tag], [group.jid, 'create'])
  }
  const webs = [annWeb, benWeb, cleoWeb]
  for (const [position, author] of webs.entries()) {
    // The second message goes without a distribution.
    for (const text of [`first of ${position}`, `second of ${position}`]) {
      const id = await author.sendText(group.jid, text)
      for (const reader of webs.filter((web) => web !== author)) {
        const received = await reader.messages.take()
        assert.deepEqual([received.id, received.text, received.chat], [id, text, group.jid])
      }
    }
  }
  for (const phone of people) await nextAtPhone(phone, 'second of 2')
  await others[0]!.phone.sendText(group.jid, 'from a phone')
  for (const web of webs) assert.equal((await web.messages.take()).text, 'from a phone')
})

test('receipts find their way: delivered and read to the author, read to the own devices', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using annWeb = await world.companion(ann)
  await using benWeb = await world.companion(ben)
  await using benTablet = await world.companion(ben)
  const id = await annWeb.sendText(ben.account.lidJid, 'read me')
  await annWeb.receipts.take(({ type, ids }) => type === 'delivered' && ids.includes(id))
  await benWeb.markRead(await benWeb.messages.take())
  const read = await annWeb.receipts.take(({ type }) => type === 'read')
  assert.deepEqual([read.ids, read.from, read.stanza.attrs.sender_pn], [[id], ben.account.lidJid, ben.account.jid])
  const own = await benTablet.receipts.take(({ type }) => type === 'read-self')
  assert.deepEqual([own.ids, own.stanza.attrs.recipient], [[id], ann.account.lidJid])
  const [atPhone] = await ann.phone.receipts.wait(0, ({ type }) => type === 'read', AbortSignal.timeout(5_000))
  assert.equal(atPhone?.messageId, id)
  const group = await createGroup(annWeb.connection, 'Two', [ben.account.lidJid])
  const groupId = await annWeb.sendText(group.jid, 'all of you')
  await benWeb.markRead(await benWeb.messages.take(({ chat }) => chat === group.jid))
  const inGroup = await annWeb.receipts.take(({ type, ids }) => type === 'read' && ids.includes(groupId))
  assert.deepEqual([inGroup.stanza.attrs.from, inGroup.from], [group.jid, ben.account.lidJid])
})

test('pre-keys are handed out once each, and the client is told when they run low', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using annWeb = await world.companion(ann)
  await using benWeb = await world.companion(ben, 'lid', { preKeys: 12 })
  // The phone's welcome took one.
  await benWeb.news.take()
  const seen = new Set<number>()
  for (let round = 0; round < 3; round += 1) {
    const jid = benWeb.own.own.lid
    seen.add((await fetchBundles(annWeb.connection, [jid])).get(jid)!.preKey!.id)
  }
  assert.equal(seen.size, 3)
  const low = await benWeb.notifications.take(({ attrs }) => attrs.type === 'encrypt')
  assert.equal(part(low)?.attrs.value, '9')
  assert.equal(await countPreKeys(benWeb.connection), 8 + 20)
  await compareDigest(benWeb.connection, benWeb.own)
})

test('the phone welcomes a companion once: app state keys, then history', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await ben.phone.sendText(ann.account.lidJid, 'before the link')
  await nextAtPhone(ann, 'before the link')
  const own = await world.link(ann)
  await using client = await world.login(own)
  assert.equal((await client.news.take()).keys, 1)
  const history = [await client.news.take(), await client.news.take(), await client.news.take()]
  assert.deepEqual(
    history.map((news) => news.history?.progress),
    [50, 80, 100],
  )
  const [chat] = history[0]!.history!.conversations!
  assert.equal(chat?.id, ben.account.lidJid)
  assert.equal(chat?.messages?.[0]?.message?.message?.conversation, 'before the link')
  await client.settle()
  await client[Symbol.asyncDispose]()
  await using again = await world.login(own)
  await again.settle()
  assert.deepEqual(again.news.entries, [])
})

test('privacy tokens reach the contact they are for, a block the own devices', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using annWeb = await world.companion(ann)
  await using annTablet = await world.companion(ann)
  await using benWeb = await world.companion(ben)
  const t = Math.floor(Date.now() / 1000)
  const token = make('token', { jid: ben.account.lidJid, t, type: 'trusted_contact' })
  await annWeb.connection.query('set', 'privacy', [make('tokens', {}, [token])])
  const notice = await benWeb.notifications.take(({ attrs }) => attrs.type === 'privacy_token')
  const received = part(part(notice), 'token')
  assert.deepEqual([notice.attrs.sender_lid, received?.attrs.t], [ann.account.lidJid, String(t)])
  assert.ok(dataOf(received).length > 0)
  const block = make('item', { jid: ben.account.lidJid, pn_jid: ben.account.jid, action: 'block' })
  await annWeb.connection.query('set', 'blocklist', [block])
  const told = await annTablet.notifications.take(
    ({ content }) => Array.isArray(content) && content[0]?.tag === 'blocklist',
  )
  assert.equal(told.attrs.type, 'account_sync')
  await benWeb.sendText(ann.account.lidJid, 'can you hear me?')
  await ben.phone.sendText(ann.account.lidJid, 'hello?')
  await annWeb.settle()
  assert.deepEqual(annWeb.messages.entries, [])
})

test('typing and presence reach those who watch', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using client = await world.companion(ann)
  client.connection.send(make('presence', { type: 'subscribe', to: ben.account.lidJid }))
  const online = await client.others.take(({ tag }) => tag === 'presence')
  assert.deepEqual(online.attrs, { from: ben.account.lidJid })
  ben.phone.sendTyping(ann.account.lidJid, 'composing')
  const typing = await client.others.take(({ tag }) => tag === 'chatstate')
  assert.deepEqual([typing.attrs.from, part(typing)?.tag], [ben.account.lidJid, 'composing'])
  ben.phone.goOffline()
  const offline = await client.others.take(({ tag }) => tag === 'presence')
  assert.equal(offline.attrs.type, 'unavailable')
})

test('the service asks silent clients whether they are there, and an answer keeps them', async (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] })
  let ahead = 0
  await using world = await World.start({ clock: () => Date.now() + ahead, pingAfterMs: 10_000, dropAfterMs: 30_000 })
  await using client = await world.companion(world.person('Ann'))
  for (let round = 0; round < 3; round += 1) {
    ahead += 15_000
    context.mock.timers.tick(5_000)
    await client.settle()
  }
  assert.equal(client.connection.ended, undefined)
})

function turns(a: StrictClient, b: StrictClient, count: number): (readonly [StrictClient, StrictClient])[] {
  return Array.from({ length: count }, (_, index) => (index % 2 === 0 ? [a, b] : [b, a]))
}
