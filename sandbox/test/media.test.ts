// Files between stock Baileys, phones and the media server.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { Agent as HttpsAgent } from 'node:https'
import { after, before, beforeEach, test } from 'node:test'
import { downloadMediaMessage, type WAMessage } from 'baileys'
import { Agent, Dispatcher1Wrapper } from 'undici'
import type { Person } from '../src/phone/people.ts'
import { type Sandbox, startSandbox } from '../src/server.ts'
import { BaileysClient } from './support/baileys-client.ts'
import { ControlClient } from './support/control-client.ts'

let sandbox: Sandbox
let control: ControlClient
let dispatcher: Dispatcher1Wrapper
let fetchAgent: HttpsAgent

before(async () => {
  sandbox = await startSandbox({ tlsPort: 0 })
  control = new ControlClient(sandbox.http)
  const ca = sandbox.ca!
  // the fetch of Node 24 speaks to dispatchers as undici 7 did
  dispatcher = new Dispatcher1Wrapper(new Agent({ connect: { ca } }))
  fetchAgent = new HttpsAgent({ ca })
})
after(async () => {
  await dispatcher.close()
  fetchAgent.destroy()
  await sandbox[Symbol.asyncDispose]()
})
beforeEach(() => sandbox.service.log.clear())

const problems = () => sandbox.service.log.list().map(({ kind, text }) => `${kind}: ${text}`)
const hex = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const within = () => AbortSignal.timeout(5_000)

async function link(person: Person): Promise<BaileysClient> {
  const client = new BaileysClient({ url: sandbox.ws, noiseRoot: sandbox.noiseRoot, config: { fetchAgent } })
  const qr = await client.nextQr()
  const open = client.whenOpen()
  await control.post(`/sandbox/people/${person.account.pn}/scan`, { qr })
  await open
  return client
}

const fileOf = (message: WAMessage): Promise<Buffer> =>
  downloadMediaMessage(message, 'buffer', {
    options: { dispatcher },
    host: new URL(sandbox.https!).host,
  } as never)

test('a file of a stock client is uploaded, and opened by the phone that gets it', async () => {
  const [ann, ben] = [sandbox.people.add({ name: 'Ann' }), sandbox.people.add({ name: 'Ben' })]
  await using client = await link(ann)
  const bytes = randomBytes(100_001)
  await client.socket.sendMessage(ben.account.jid, {
    document: bytes,
    mimetype: 'application/x-thing',
    fileName: 'ein Ding.bin',
    caption: 'look',
  })
  const [received] = await ben.phone.messages.wait(0, ({ media }) => media !== undefined, within())
  const { media } = received!
  assert.deepEqual(
    [media?.kind, media?.mimetype, media?.fileName, media?.caption, media?.size, media?.fault],
    ['document', 'application/x-thing', 'ein Ding.bin', 'look', bytes.length, undefined],
  )
  assert.deepEqual(media?.bytes, bytes)
  const shown = await control.get(`/sandbox/people/${ben.account.pn}/messages`)
  assert.equal(shown.messages[0].media.sha256, hex(bytes))
  const raw = await fetch(`${sandbox.http}/sandbox/people/${ben.account.pn}/messages/${received!.messageId}/media`)
  assert.equal(raw.headers.get('content-type'), 'application/x-thing')
  assert.equal(hex(new Uint8Array(await raw.arrayBuffer())), hex(bytes))
  assert.deepEqual(problems(), [])
})

test('a file of a phone is downloaded by a stock client, and once more when the media server has lost it', async () => {
  const [ann, ben] = [sandbox.people.add({ name: 'Ann' }), sandbox.people.add({ name: 'Ben' })]
  await using client = await link(ann)
  const incoming = client.next('messages.upsert', ({ messages }) =>
    messages.find(({ message }) => message?.imageMessage !== undefined && message.imageMessage !== null),
  )
  const bytes = randomBytes(70_000)
  await control.post(`/sandbox/people/${ben.account.pn}/send-media`, {
    to: ann.account.pn,
    kind: 'image',
    base64: bytes.toString('base64'),
    mimetype: 'image/jpeg',
    caption: 'a picture',
  })
  const message = await incoming
  assert.equal(message.message?.imageMessage?.caption, 'a picture')
  assert.equal(hex(await fileOf(message)), hex(bytes))
  assert.ok((await control.post('/sandbox/media/expire', {})).expired > 0)
  await assert.rejects(
    fileOf(message),
    (error: { output?: { statusCode: number } }) => error.output?.statusCode === 410,
  )
  const renewed = await client.socket.updateMediaMessage(message)
  assert.equal(hex(await fileOf(renewed)), hex(bytes), 'the phone has uploaded it once more')
  assert.deepEqual(problems(), [])
})

test('the media server checks uploads', async () => {
  const { depot, auth } = { depot: sandbox.service.media, auth: sandbox.service.media.grant().auth }
  const body = randomBytes(16 * 4 + 10)
  const token = createHash('sha256').update(body).digest('base64url')
  const upload = (path: string, content: Uint8Array = body) =>
    fetch(`${sandbox.http}${path}`, { method: 'POST', body: content as Uint8Array<ArrayBuffer> })
  const refused = [
    [401, `/mms/image/${token}?auth=nonsense&token=${token}`],
    [400, `/mms/image/${token}?auth=${auth}&token=x`],
    [404, `/mms/nothing/${token}?auth=${auth}&token=${token}`],
    [400, `/mms/image/${'A'.repeat(43)}?auth=${auth}&token=${'A'.repeat(43)}`],
  ] as const
  for (const [status, path] of refused) assert.equal((await upload(path)).status, status, path)
  assert.equal(problems().length, refused.length)
  const odd = randomBytes(77)
  const hash = createHash('sha256').update(odd).digest('base64url')
  assert.equal((await upload(`/mms/image/${hash}?auth=${auth}&token=${hash}`, odd)).status, 400)
  const answer = await upload(`/mms/image/${token}?auth=${auth}&token=${token}`)
  const { direct_path, url } = (await answer.json()) as { direct_path: string; url: string }
  assert.equal(url, `https://mmg.whatsapp.net${direct_path}&mms3=true`)
  assert.equal(depot.find(direct_path)?.type, 'image')
  const ranges: readonly (readonly [string | undefined, number, Uint8Array | undefined])[] = [
    [undefined, 200, body],
    ['bytes=0-9', 206, body.subarray(0, 10)],
    ['bytes=70-', 206, body.subarray(70)],
    ['bytes=-4', 206, body.subarray(70)],
    ['bytes=74-80', 416, undefined],
  ]
  for (const [range, status, part] of ranges) {
    const reply = await fetch(`${sandbox.http}${direct_path}`, range === undefined ? {} : { headers: { range } })
    assert.equal(reply.status, status, range)
    const got = Buffer.from(await reply.arrayBuffer())
    if (part) assert.deepEqual(got, Buffer.from(part), range)
  }
  depot.expire(404, direct_path)
  assert.equal((await fetch(`${sandbox.http}${direct_path}`)).status, 404)
  assert.equal((await fetch(`${sandbox.http}/v/t62.7118-24/nothing`)).status, 403)
})
