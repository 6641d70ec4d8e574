import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BinaryNode, proto } from 'baileys'
import { setsTimer, timerIn, toGroupTimer } from './chat-timer.ts'
import type { LidMap } from './lid-map.ts'

const { EPHEMERAL_SETTING, REVOKE } = proto.Message.ProtocolMessage.Type
const SENT = 1_700_000_000

const setting = (ephemeralExpiration: number, at?: number): proto.IMessage => ({
  protocolMessage: { type: EPHEMERAL_SETTING, ephemeralExpiration, ephemeralSettingTimestamp: at ?? null },
})
const text = (expiration: number, at?: number): proto.IMessage => ({
  extendedTextMessage: { text: 'x', contextInfo: { expiration, ephemeralSettingTimestamp: at ?? null } },
})

test('a setting sets the timer, from when it says, at most from when it was sent', () => {
  assert.deepEqual(timerIn(setting(60, SENT - 5), SENT), { seconds: 60, setAt: SENT - 5 })
  assert.deepEqual(timerIn({ ephemeralMessage: { message: setting(0, SENT - 5) } }, SENT), {
    seconds: 0,
    setAt: SENT - 5,
  })
  for (const at of [undefined, SENT + 1, -7, 2 ** 50])
    assert.deepEqual(timerIn(setting(60, at), SENT), { seconds: 60, setAt: SENT }, String(at))
  assert.ok(setsTimer(setting(60)) && setsTimer({ ephemeralMessage: { message: setting(0) } }))
})

test('a message names the timer it was written under', () => {
  assert.deepEqual(timerIn(text(60, SENT - 5), SENT), { seconds: 60, setAt: SENT - 5 })
  assert.deepEqual(timerIn({ imageMessage: { contextInfo: { expiration: 60 } } }, SENT), { seconds: 60, setAt: 0 })
  assert.deepEqual(timerIn({ viewOnceMessage: { message: text(60, SENT + 9) } }, SENT), { seconds: 60, setAt: SENT })
  assert.deepEqual(timerIn(text(60, -7), SENT), { seconds: 60, setAt: 0 })
  assert.equal(setsTimer(text(60)), false)
})

test('what names none, or none that anybody can have meant, says nothing', () => {
  for (const message of [
    undefined,
    {},
    { conversation: 'x' },
    text(0, SENT),
    text(-60, SENT),
    text(2 ** 32, SENT),
    setting(2 ** 32),
    { protocolMessage: { type: REVOKE, ephemeralExpiration: 60 } },
    { reactionMessage: { text: 'x' } },
  ])
    assert.equal(timerIn(message, SENT), undefined, JSON.stringify(message))
})

const GROUP = '120363000000000001@g.us'
const SELF = { pn: '4900@s.whatsapp.net', lid: '900@lid' }
const lidMap = { storedPn: async () => '4901@s.whatsapp.net' } as unknown as LidMap
const notification = (content: readonly BinaryNode[], attrs: Readonly<Record<string, string>> = {}): BinaryNode => ({
  tag: 'notification',
  attrs: { type: 'w:gp2', from: GROUP, id: 'n1', t: String(SENT), participant: '901:3@lid', ...attrs },
  content: [...content],
})
const child = (tag: string, attrs: Readonly<Record<string, string>> = {}, content?: BinaryNode[]): BinaryNode => ({
  tag,
  attrs: { ...attrs },
  ...(content ? { content } : {}),
})

test('a group tells its timer when it changes, and when it is new to us', async () => {
  const told = (node: BinaryNode) => toGroupTimer(node, SELF, lidMap)
  const changed = await told(notification([child('ephemeral', { expiration: '86400' })]))
  assert.deepEqual(
    [changed?.chat, changed?.timer, changed?.sender, changed?.senderParty, changed?.fromMe],
    [GROUP, { seconds: 86_400, setAt: SENT }, '901@lid', { pn: '4901@s.whatsapp.net', lid: '901@lid' }, false],
  )
  assert.equal((await told(notification([child('not_ephemeral')])))?.timer.seconds, 0)
  const own = await told(notification([child('not_ephemeral')], { participant: '900:2@lid' }))
  assert.deepEqual([own?.fromMe, own?.senderParty], [true, SELF])
  const group = child('group', {}, [child('ephemeral', { expiration: '60' })])
  assert.equal((await told(notification([child('create', {}, [group])])))?.timer.seconds, 60)
  assert.equal((await told(notification([child('create', {}, [child('group')])])))?.timer.seconds, 0)
})

test('other notifications, and broken ones, tell none', async () => {
  for (const node of [
    notification([child('subject', { subject: 'x' })]),
    notification([child('ephemeral', { expiration: 'soon' })]),
    notification([child('ephemeral', { expiration: '-1' })]),
    notification([child('ephemeral', { expiration: '60' })], { type: 'picture' }),
    notification([child('ephemeral', { expiration: '60' })], { from: '1@lid' }),
    notification([]),
  ])
    assert.equal(await toGroupTimer(node, SELF, lidMap), undefined, JSON.stringify(node))
  const dateless = await toGroupTimer(
    notification([child('ephemeral', { expiration: '60' })], { t: '1e300', participant: '' }),
    SELF,
    lidMap,
  )
  assert.deepEqual(dateless?.timer, { seconds: 60, setAt: 0 })
})
