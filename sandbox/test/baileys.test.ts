import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WAMessage } from 'baileys'
import { People } from '../src/phone/people.ts'
import { startSandbox } from '../src/server.ts'
import { BaileysClient } from './support/baileys-client.ts'

async function setUp() {
  const sandbox = await startSandbox()
  const people = new People({ service: sandbox.service, clock: Date.now })
  return { sandbox, people, service: sandbox.service }
}

const textOf = ({ message }: WAMessage) => message?.conversation ?? message?.extendedTextMessage?.text ?? undefined

test('Baileys is linked by QR and exchanges texts with a phone', async () => {
  const { sandbox, people, service } = await setUp()
  await using _sandbox = sandbox
  const [ann, ben] = [people.add({ name: 'Ann' }), people.add({ name: 'Ben' })]
  await using client = new BaileysClient({ url: sandbox.ws, noiseRoot: sandbox.noiseRoot })
  const opened = client.nextQr().then((qr) => Promise.all([ann.linking.scan(qr), client.whenOpen()]))
  const [result] = await opened
  assert.equal(result.status, 'linked')
  assert.equal(client.creds.me?.id, `${ann.account.pn}:1@s.whatsapp.net`)
  assert.equal(client.creds.me?.lid, `${ann.account.lid}:1@lid`)

  const incoming = client.next('messages.upsert', ({ messages }) => messages.find((message) => textOf(message)))
  const id = await ben.phone.sendText(ann.account.lidJid, 'hello gateway')
  const message = await incoming
  assert.equal(textOf(message), 'hello gateway')
  assert.equal(message.key.id, id)
  const [delivered] = await ben.phone.receipts.wait(0, () => true, AbortSignal.timeout(5_000))
  assert.equal(delivered?.messageId, id)

  const sent = await client.socket.sendMessage(ben.account.jid, { text: 'hello Ben' })
  const [received] = await ben.phone.messages.wait(0, (m) => !m.sentHere, AbortSignal.timeout(5_000))
  assert.deepEqual(
    [received?.text, received?.messageId, received?.from, received?.fromDevice],
    ['hello Ben', sent?.key.id, ann.account, 1],
  )
  const [copy] = await ann.phone.messages.wait(0, ({ fromMe }) => fromMe, AbortSignal.timeout(5_000))
  assert.deepEqual([copy?.text, copy?.chat, copy?.fromDevice], ['hello Ben', ben.account.lidJid, 1])
  assert.deepEqual(service.log.list(), [])
})
