import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { WAMessage } from 'baileys'
import { startSandbox } from '../src/server.ts'
import { BaileysClient } from './support/baileys-client.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sandbox-'))
})
after(() => rm(folder, { recursive: true }))

const textOf = ({ message }: WAMessage) => message?.conversation ?? message?.extendedTextMessage?.text ?? undefined
const within = () => AbortSignal.timeout(5_000)

test('after a restart linked devices log in again, sessions go on, and what waited is delivered', async () => {
  const stateFile = join(folder, 'state')
  const numbers: string[] = []
  let client: BaileysClient | undefined
  let root: Buffer
  {
    await using sandbox = await startSandbox({ stateFile })
    root = sandbox.noiseRoot
    const [ann, ben] = [sandbox.people.add({ name: 'Ann', passkey: 'required' }), sandbox.people.add({ name: 'Ben' })]
    numbers.push(ann.account.pn, ben.account.pn)
    client = new BaileysClient({ url: sandbox.ws, noiseRoot: root })
    const qr = await client.nextQr()
    await Promise.all([ben.linking.scan(qr), client.whenOpen()])
    const incoming = client.next('messages.upsert', ({ messages }) => messages.find(textOf))
    await ann.phone.sendText(ben.account.lidJid, 'before')
    assert.equal(textOf(await incoming), 'before')
    await client.socket.sendMessage(ann.account.jid, { text: 'answer' })
    await ann.phone.messages.wait(0, (message) => !message.sentHere, within())
    await client[Symbol.asyncDispose]()
    await ann.phone.sendText(ben.account.lidJid, 'while you were away')
  }
  await using sandbox = await startSandbox({ stateFile })
  assert.deepEqual(sandbox.noiseRoot, root, 'the seed is kept')
  const [ann, ben] = numbers.map((pn) => sandbox.people.byPhoneNumber(pn)!)
  assert.equal(ann!.linking.passkey, 'required')
  const next = new BaileysClient({ url: sandbox.ws, noiseRoot: root, auth: client.auth })
  await using _ = next
  const waited = next.next('messages.upsert', ({ messages }) => messages.find(textOf))
  await next.whenOpen()
  assert.equal(textOf(await waited), 'while you were away')
  const fresh = next.next('messages.upsert', ({ messages }) => messages.find(textOf))
  await ann!.phone.sendText(ben!.account.lidJid, 'after')
  assert.equal(textOf(await fresh), 'after')
  await next.socket.sendMessage(ann!.account.jid, { text: 'thanks' })
  const [thanks] = await ann!.phone.messages.wait(0, (message) => !message.sentHere, within())
  assert.equal(thanks?.text, 'thanks')
  assert.deepEqual(sandbox.service.log.list(), [])
})

test('a file that is no state is refused', async () => {
  const stateFile = join(folder, 'other')
  await writeFile(stateFile, 'something else')
  await assert.rejects(startSandbox({ stateFile }), /is not the state of a sandbox/)
})
