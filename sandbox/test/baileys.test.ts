import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import type { WAMessage } from 'baileys'
import type { Person } from '../src/phone/people.ts'
import { type Sandbox, startSandbox } from '../src/server.ts'
import { BaileysClient } from './support/baileys-client.ts'
import { ControlClient } from './support/control-client.ts'

let sandbox: Sandbox
let control: ControlClient

before(async () => {
  sandbox = await startSandbox()
  control = new ControlClient(sandbox.http)
})
after(() => sandbox[Symbol.asyncDispose]())
beforeEach(() => sandbox.service.log.clear())

const textOf = ({ message }: WAMessage) => message?.conversation ?? message?.extendedTextMessage?.text ?? undefined
const makeClient = () => new BaileysClient({ url: sandbox.ws, noiseRoot: sandbox.noiseRoot })
const within = (ms = 5_000) => AbortSignal.timeout(ms)
const problems = () => sandbox.service.log.list().map(({ kind, text }) => `${kind}: ${text}`)

async function linkByQr(client: BaileysClient, person: Person): Promise<void> {
  const qr = await client.nextQr()
  const open = client.whenOpen()
  const { status } = await control.post(`/sandbox/people/${person.account.pn}/scan`, { qr })
  assert.equal(status, 'linked')
  await open
}

const nextText = (client: BaileysClient, text?: string) =>
  client.next('messages.upsert', ({ messages }) =>
    messages.find((message) => (text === undefined ? textOf(message) !== undefined : textOf(message) === text)),
  )

test('linked by QR, it exchanges texts with a phone; its own phone sees what it sends', async () => {
  const [ann, ben] = [sandbox.people.add({ name: 'Ann' }), sandbox.people.add({ name: 'Ben' })]
  await using client = makeClient()
  await linkByQr(client, ann)
  assert.equal(client.creds.me?.id, `${ann.account.pn}:1@s.whatsapp.net`)
  assert.equal(client.creds.me?.lid, `${ann.account.lid}:1@lid`)

  const incoming = nextText(client)
  const id = await ben.phone.sendText(ann.account.lidJid, 'hello gateway')
  const message = await incoming
  assert.equal(textOf(message), 'hello gateway')
  assert.equal(message.key.id, id)
  const [delivered] = await ben.phone.receipts.wait(0, () => true, within())
  assert.equal(delivered?.messageId, id)

  const sent = await client.socket.sendMessage(ben.account.jid, { text: 'hello Ben' })
  const [received] = await ben.phone.messages.wait(0, (m) => !m.sentHere, within())
  assert.deepEqual(
    [received?.text, received?.messageId, received?.from, received?.fromDevice],
    ['hello Ben', sent?.key.id, ann.account, 1],
  )
  const [copy] = await ann.phone.messages.wait(0, ({ fromMe }) => fromMe, within())
  assert.deepEqual([copy?.text, copy?.chat, copy?.fromDevice], ['hello Ben', ben.account.lidJid, 1])
  assert.deepEqual(problems(), [])
})

test('linked by code; a wrong code is refused and leaves the client waiting', async () => {
  const [ann, ben] = [sandbox.people.add({ name: 'Ann' }), sandbox.people.add({ name: 'Ben' })]
  const { pn } = ann.account
  await using client = makeClient()
  await client.nextQr()
  const code = await client.socket.requestPairingCode(pn)
  await sandboxHears(() => sandbox.service.registrations.findByPhoneNumber(pn) !== undefined)
  const wrong = await control.call('POST', `/sandbox/people/${pn}/enter-code`, { code: 'AAAAAAAA' })
  assert.deepEqual([wrong.status, wrong.body.error.code], [422, 'wrong_code'])
  const open = client.whenOpen()
  const linked = await control.post(`/sandbox/people/${pn}/enter-code`, {
    code: `${code.slice(0, 4)}-${code.slice(4)}`,
  })
  assert.deepEqual(linked, { phone: pn, device_jid: `${pn}:1@s.whatsapp.net`, status: 'linked' })
  await open
  const incoming = nextText(client)
  await control.post(`/sandbox/people/${ben.account.pn}/send`, { to: pn, text: 'by code' })
  assert.equal(textOf(await incoming), 'by code')
})

test('history comes at once: chats from before, without the twenty seconds of waiting', async () => {
  const [ann, ben] = [sandbox.people.add({ name: 'Ann' }), sandbox.people.add({ name: 'Ben' })]
  const id = await ben.phone.sendText(ann.account.lidJid, 'before you came')
  await ann.phone.messages.wait(0, () => true, within())
  await using client = makeClient()
  const history = client.next('messaging-history.set', ({ messages }) => messages.find(({ key }) => key.id === id))
  const keys = client.next('creds.update', ({ myAppStateKeyId }) => myAppStateKeyId)
  await linkByQr(client, ann)
  assert.equal(textOf(await history), 'before you came')
  assert.equal(Buffer.from(await keys, 'base64').length, 6)
})

test('a companion that came while its phone was offline is welcomed when the phone is back', async () => {
  const ann = sandbox.people.add({ name: 'Ann' })
  await using client = makeClient()
  const qr = await client.nextQr()
  const open = client.whenOpen()
  await ann.linking.scan(qr)
  ann.phone.goOffline()
  await open
  const keys = client.next('creds.update', ({ myAppStateKeyId }) => myAppStateKeyId)
  ann.phone.goOnline()
  await keys
  assert.deepEqual(problems(), [])
})

test('two companions of one number: each sees what the other and the phone send', async () => {
  const [ann, ben] = [sandbox.people.add({ name: 'Ann' }), sandbox.people.add({ name: 'Ben' })]
  await using first = makeClient()
  await linkByQr(first, ann)
  await using second = makeClient()
  await linkByQr(second, ann)
  assert.equal(second.creds.me?.id, `${ann.account.pn}:2@s.whatsapp.net`)
  const atSecond = nextText(second, 'from the first')
  await first.socket.sendMessage(ben.account.jid, { text: 'from the first' })
  const copy = await atSecond
  assert.deepEqual([textOf(copy), copy.key.fromMe], ['from the first', true])
  const atBoth = [nextText(first, 'from the phone'), nextText(second, 'from the phone')]
  await ann.phone.sendText(ben.account.lidJid, 'from the phone')
  for (const message of await Promise.all(atBoth)) {
    assert.deepEqual([textOf(message), message.key.fromMe], ['from the phone', true])
  }
  const texts = await ben.phone.messages.wait(0, ({ text }) => text === 'from the phone', within())
  assert.equal(texts.length, 1)
  assert.deepEqual(problems(), [])
})

test('in a group, texts go both ways, between a phone and two linked devices of two people', async () => {
  const [ann, ben, cleo] = ['Ann', 'Ben', 'Cleo'].map((name) => sandbox.people.add({ name })) as [
    Person,
    Person,
    Person,
  ]
  await using first = makeClient()
  await linkByQr(first, ann)
  await using second = makeClient()
  await linkByQr(second, ben)
  const phones = [ann, ben, cleo].map(({ account }) => account.pn)
  const { jid } = await control.post('/sandbox/groups', { subject: 'All', creator: phones[0], participants: phones })
  const [toFirst, toSecond] = [nextText(first), nextText(second)]
  await control.post(`/sandbox/people/${phones[2]}/send`, { to: jid, text: 'from a phone' })
  for (const message of [await toFirst, await toSecond]) {
    assert.deepEqual([textOf(message), message.key.remoteJid], ['from a phone', jid])
  }
  const again = nextText(second, 'from a device')
  await first.socket.sendMessage(jid, { text: 'from a device' })
  assert.equal(textOf(await again), 'from a device')
  const [seen] = await cleo.phone.messages.wait(0, (m) => !m.sentHere, within())
  assert.deepEqual([seen?.text, seen?.from], ['from a device', ann.account])
  assert.deepEqual(problems(), [])
})

test('what a phone could not read it asks for again, and what Baileys could not read comes again', async () => {
  const [ann, ben] = [sandbox.people.add({ name: 'Ann' }), sandbox.people.add({ name: 'Ben' })]
  await using client = makeClient()
  await linkByQr(client, ann)
  sandbox.service.faults.arm({ kind: 'tamper', target: 'enc', account: ann.account, times: 1 })
  ann.phone.goOffline() // so that the damaged copy is the companion's
  const incoming = nextText(client)
  await ben.phone.sendText(ann.account.lidJid, 'fragile to Baileys')
  assert.equal(textOf(await incoming), 'fragile to Baileys')
})

test('receipts reach Baileys: delivered, then read', async () => {
  const [ann, ben] = [sandbox.people.add({ name: 'Ann' }), sandbox.people.add({ name: 'Ben' })]
  await using client = makeClient()
  await linkByQr(client, ann)
  const statuses: unknown[] = []
  const read = client.next('messages.update', (updates) => {
    for (const { update } of updates) statuses.push(update.status)
    return updates.find(({ update }) => update.status === 4)
  })
  const sent = await client.socket.sendMessage(ben.account.jid, { text: 'read me' })
  const [received] = await ben.phone.messages.wait(0, () => true, within())
  const body = { chat: ann.account.pn, message_ids: [received!.messageId] }
  await control.post(`/sandbox/people/${ben.account.pn}/read`, body)
  assert.equal((await read).key.id, sent?.key.id)
  assert.ok(statuses.includes(3), `delivered before read: ${statuses.join()}`)
})

test('Baileys asks its phone for older messages, and for one it could not read', async () => {
  const [ann, ben] = [sandbox.people.add({ name: 'Ann' }), sandbox.people.add({ name: 'Ben' })]
  const ids: string[] = []
  for (let n = 0; n < 24; n += 1) ids.push(await ben.phone.sendText(ann.account.lidJid, `old ${n}`))
  await ann.phone.settle()
  await using client = makeClient()
  await linkByQr(client, ann)
  const key = (n: number) => ({ remoteJid: ben.account.lidJid, id: ids[n]!, fromMe: false })
  const history = client.next('messaging-history.set', ({ messages, peerDataRequestSessionId }) =>
    peerDataRequestSessionId ? messages : undefined,
  )
  await client.socket.fetchMessageHistory(3, key(4), Date.now())
  assert.deepEqual((await history).map(textOf), ['old 3', 'old 2', 'old 1'])
  const resent = client.next('messages.upsert', ({ messages }) => messages.find((m) => m.key.id === ids[7]))
  await client.socket.requestPlaceholderResend(key(7))
  assert.equal(textOf(await resent), 'old 7')
})

test('the phone logs a companion out; the next login is refused', async () => {
  const ann = sandbox.people.add({ name: 'Ann' })
  await using client = makeClient()
  await linkByQr(client, ann)
  const [device] = (await control.get(`/sandbox/people/${ann.account.pn}`)).companions
  assert.deepEqual([device.connected, device.device], [true, 1])
  const closed = client.whenClosed()
  await control.call('DELETE', `/sandbox/people/${ann.account.pn}/devices/1`)
  assert.equal(await closed, 401)
  assert.deepEqual((await control.get(`/sandbox/people/${ann.account.pn}`)).companions, [])
})

for (const [mode, extra, expected] of [
  ['close', {}, 428],
  ['replaced', {}, 440],
  ['stream_error', { code: 503 }, 503],
  ['failure', { code: 403 }, 403],
] as const) {
  test(`the control API ends a connection: ${mode} arrives as ${expected}`, async () => {
    const ann = sandbox.people.add({ name: 'Ann' })
    await using client = makeClient()
    await linkByQr(client, ann)
    const closed = client.whenClosed()
    const jid = encodeURIComponent(`${ann.account.pn}:1@s.whatsapp.net`)
    await control.post(`/sandbox/devices/${jid}/disconnect`, { mode, ...extra })
    assert.equal(await closed, expected)
  })
}

test('an account takes as many companions as it may, and any client by one call', async () => {
  await using first = makeClient()
  const qr = await first.nextQr()
  const open = first.whenOpen()
  const { phone } = await control.post('/admin/mock-phone/scan-qr', qr)
  await open
  await control.call('PATCH', `/sandbox/people/${phone}`, { max_companions: 1 })
  await using second = makeClient()
  const refused = await control.call('POST', '/admin/mock-phone/scan-qr', await second.nextQr())
  assert.deepEqual([refused.status, refused.body.error.code], [422, 'too_many_devices'])
})

/** Resolves when something that the service does by itself has happened. */
async function sandboxHears(happened: () => boolean): Promise<void> {
  const signal = within()
  while (!happened()) {
    signal.throwIfAborted()
    await new Promise((resolve) => setImmediate(resolve))
  }
}
