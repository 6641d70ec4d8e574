import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PhoneMessage, PhoneReceipt } from '../src/phone/entries.ts'
import { People, type Person } from '../src/phone/people.ts'
import { jidOf } from '../src/service/groups.ts'
import { Service } from '../src/service/service.ts'

const ANY = () => true

function setUp(...names: string[]) {
  const service = new Service({ clock: Date.now })
  const people = new People({ service, clock: Date.now })
  return { service, people, persons: names.map((name) => people.add({ name })) }
}

/** The next messages (or receipts) of a person; fails after five seconds. */
async function expectMessages(person: Person, count = 1): Promise<PhoneMessage[]> {
  return expectEntries(person.phone.messages, count, (message) => !message.sentHere)
}

async function expectEntries<Entry extends { readonly seq: number }>(
  log: { wait(after: number, fits: (entry: Entry) => boolean, signal: AbortSignal): Promise<readonly Entry[]> },
  count: number,
  fits: (entry: Entry) => boolean = ANY,
): Promise<Entry[]> {
  const signal = AbortSignal.timeout(5_000)
  const found: Entry[] = []
  while (found.length < count) {
    const more = await log.wait(found.at(-1)?.seq ?? 0, fits, signal)
    assert.ok(more.length > 0, `${count} expected, ${found.length} came`)
    found.push(...more)
  }
  return found
}

const noProblems = (service: Service) => assert.deepEqual(service.log.list(), [])

test('two phones write to each other, both ways and many times', async () => {
  const { service, persons } = setUp('Ann', 'Ben')
  const [ann, ben] = persons as [Person, Person]
  const id = await ann.phone.sendText(ben.account.lidJid, 'hello Ben')
  const [hello] = await expectMessages(ben)
  assert.equal(hello!.text, 'hello Ben')
  assert.equal(hello!.messageId, id)
  assert.equal(hello!.chat, ann.account.lidJid)
  assert.equal(hello!.from, ann.account)
  assert.equal(hello!.pushName, 'Ann')
  assert.equal(hello!.fromMe, false)
  await ben.phone.sendText(ann.account.lidJid, 'hello Ann', id)
  const [answer] = await expectMessages(ann)
  assert.deepEqual([answer!.text, answer!.quotedMessageId], ['hello Ann', id])
  await Promise.all(Array.from({ length: 20 }, (_, n) => ann.phone.sendText(ben.account.lidJid, `n${n}`)))
  const all = await expectMessages(ben, 21)
  assert.deepEqual(new Set(all.slice(1).map(({ text }) => text)).size, 20)
  noProblems(service)
})

test('receipts come back: delivered at once, read when the person reads', async () => {
  const { service, persons } = setUp('Ann', 'Ben')
  const [ann, ben] = persons as [Person, Person]
  const ids = [await ann.phone.sendText(ben.account.lidJid, 'one'), await ann.phone.sendText(ben.account.lidJid, 'two')]
  await expectMessages(ben, 2)
  const shown = (receipt: PhoneReceipt) => [receipt.type, receipt.messageId, receipt.from?.pn]
  const delivered = await expectEntries(ann.phone.receipts, 2)
  assert.deepEqual(
    delivered.map(shown),
    ids.map((id) => ['delivered', id, ben.account.pn]),
  )
  assert.deepEqual(ben.phone.markRead(ann.account.lidJid, [...ids, 'unknown']), ['unknown'])
  assert.deepEqual(ben.phone.markRead(ann.account.lidJid, ids), [])
  const read = await expectEntries(ann.phone.receipts, 2, ({ type }) => type === 'read')
  assert.deepEqual(
    read.map(shown),
    ids.map((id) => ['read', id, ben.account.pn]),
  )
  noProblems(service)
})

test('a phone without network gets its messages later, in order, and only then confirms them', async () => {
  const { service, persons } = setUp('Ann', 'Ben')
  const [ann, ben] = persons as [Person, Person]
  ben.phone.goOffline()
  for (const text of ['1', '2', '3']) await ann.phone.sendText(ben.account.lidJid, text)
  await ann.phone.settle()
  assert.deepEqual(ann.phone.receipts.list(), [])
  assert.equal(ben.account.phone.queue.size, 3)
  ben.phone.goOnline()
  const messages = await expectMessages(ben, 3)
  assert.deepEqual(
    messages.map(({ text }) => text),
    ['1', '2', '3'],
  )
  await expectEntries(ann.phone.receipts, 3)
  assert.equal(ben.account.phone.queue.size, 0)
  await assert.rejects(async () => {
    ben.phone.goOffline()
    await ben.phone.sendText(ann.account.lidJid, 'no network')
  }, /offline/)
  noProblems(service)
})

test('a group: everybody reads it, newcomers too, who left does not', async () => {
  const { service, persons } = setUp('Ann', 'Ben', 'Cleo', 'Dan')
  const [ann, ben, cleo, dan] = persons as [Person, Person, Person, Person]
  const group = service.groups.create(ann.account, 'Friends', [ben.account, cleo.account])
  const chat = jidOf(group)
  await ann.phone.sendText(chat, 'hi all')
  for (const person of [ben, cleo]) {
    const [message] = await expectMessages(person)
    assert.deepEqual([message!.text, message!.chat, message!.from], ['hi all', chat, ann.account])
  }
  await ben.phone.sendText(chat, 'hi Ann')
  service.groups.add(group, dan.account)
  await ann.phone.sendText(chat, 'welcome Dan')
  const [welcome] = await expectMessages(dan)
  assert.equal(welcome!.text, 'welcome Dan')
  const before = (await expectMessages(cleo, 3)).length
  service.groups.remove(group, cleo.account)
  await ann.phone.sendText(chat, 'without Cleo')
  await expectMessages(dan, 2)
  assert.equal((await expectMessages(ben, 3)).at(-1)!.text, 'without Cleo')
  assert.equal(cleo.phone.messages.list().length, before)
  await assert.rejects(cleo.phone.sendText(chat, 'let me in'))
  const kinds = service.log.list().map(({ kind }) => kind)
  assert.ok(
    kinds.every((kind) => kind === 'forbidden'),
    'nothing but the refusal',
  )
})

test('a damaged message is asked for again, and arrives once', async () => {
  const { service, persons } = setUp('Ann', 'Ben')
  const [ann, ben] = persons as [Person, Person]
  service.faults.arm({ kind: 'tamper', target: 'enc', account: ben.account })
  await ann.phone.sendText(ben.account.lidJid, 'fragile')
  const [message] = await expectMessages(ben)
  assert.equal(message!.text, 'fragile')
  assert.deepEqual(
    service.log.list().map(({ kind }) => kind),
    ['undecryptable'],
  )
  service.faults.arm({ kind: 'tamper', target: 'enc', account: ben.account, times: 3 })
  await ann.phone.sendText(ben.account.lidJid, 'very fragile')
  assert.equal((await expectMessages(ben, 2)).at(-1)!.text, 'very fragile')
})

test('a damaged group message is asked for again', async () => {
  const { service, persons } = setUp('Ann', 'Ben', 'Cleo')
  const [ann, ben, cleo] = persons as [Person, Person, Person]
  const chat = jidOf(service.groups.create(ann.account, 'Friends', [ben.account, cleo.account]))
  service.faults.arm({ kind: 'tamper', target: 'enc', account: ben.account })
  await ann.phone.sendText(chat, 'fragile')
  assert.equal((await expectMessages(ben))[0]!.text, 'fragile')
  await ann.phone.sendText(chat, 'next')
  assert.equal((await expectMessages(ben, 2))[1]!.text, 'next')
  assert.equal((await expectMessages(cleo, 2))[1]!.text, 'next')
})

test('the same stanza twice is one message, and no key is asked for', async () => {
  const { service, persons } = setUp('Ann', 'Ben')
  const [ann, ben] = persons as [Person, Person]
  service.faults.arm({ kind: 'duplicate', account: ben.account })
  await ann.phone.sendText(ben.account.lidJid, 'once')
  const [message] = await expectMessages(ben)
  await ben.phone.settle()
  assert.equal(message!.copies, 2)
  assert.equal(ben.phone.messages.list().length, 1)
  noProblems(service)
})

test('bad key bundles are noticed', async () => {
  const { service, persons } = setUp('Ann', 'Ben')
  const [ann, ben] = persons as [Person, Person]
  service.faults.arm({ kind: 'tamper', target: 'signed_pre_key', account: ben.account, times: 2 })
  await ann.phone.sendText(ben.account.lidJid, 'never readable').catch(() => undefined)
  assert.ok(service.log.list({ kind: 'bad_signature' }).some(({ text }) => text.includes('signed pre-key')))
})

test('pre-keys do not run out: phones upload more when the service asks', async () => {
  const { service, people, persons } = setUp('Ben')
  const [ben] = persons as [Person]
  for (let n = 0; n < 30; n += 1) await people.add({ name: `P${n}` }).phone.sendText(ben.account.lidJid, 'hi')
  await expectMessages(ben, 30)
  await ben.phone.settle()
  assert.ok(ben.account.phone.preKeys.size > 0)
  noProblems(service)
})

test('people are cheap: no timer waits for any of them', async () => {
  const { people, persons } = setUp('Ann')
  const [ann] = persons as [Person]
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  const crowd = Array.from({ length: 100 }, (_, n) => people.add({ name: `P${n}` }))
  await crowd.at(-1)!.phone.sendText(ann.account.lidJid, 'hi')
  await expectMessages(ann)
  await ann.phone.settle()
  assert.ok(timers() <= before + 1, `${timers()} timers`)
})
