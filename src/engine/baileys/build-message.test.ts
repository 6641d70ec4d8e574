import assert from 'node:assert/strict'
import { test } from 'node:test'
import { normalizeMessageContent, proto } from 'baileys'
import type { MediaContent, OutgoingContent, OutgoingContext } from '../outgoing.ts'
import { buildMessage } from './build-message.ts'

const OWN = { pn: '4900@s.whatsapp.net', lid: '900@lid' }
const CHAT = '901@lid'
const GROUP = '120363000000000001@g.us'
const NOW = 1_700_000_000_000

const build = (content: OutgoingContent, context?: OutgoingContext, chat = CHAT): proto.IMessage =>
  proto.Message.decode(buildMessage({ messageId: 'M', chat, content, ...(context ? { context } : {}) }, OWN, NOW))

const contextOf = (message: proto.IMessage): proto.IContextInfo | undefined => {
  for (const part of Object.values(normalizeMessageContent(message) ?? {}))
    if (typeof part === 'object' && part !== null && 'contextInfo' in part) return part.contextInfo ?? undefined
  return undefined
}

const bytes = new Uint8Array(32)
const file = { url: 'u', directPath: '/d', mediaKey: bytes, fileSha256: bytes, fileEncSha256: bytes, fileLength: 1 }
const media = (kind: MediaContent['media'], more: Partial<MediaContent> = {}): MediaContent => ({
  kind: 'media',
  media: kind,
  file,
  mimetype: 'x/y',
  ...more,
})
const encoded = (message: proto.IMessage) => proto.Message.encode(message).finish()

const CARRIERS: Readonly<Record<string, OutgoingContent>> = {
  text: { kind: 'text', text: 'x' },
  image: media('image', { caption: 'c' }),
  'image seen once': media('image', { viewOnce: true }),
  video: media('video'),
  'voice note': media('audio', { voiceNote: true }),
  document: media('document'),
  'document with a caption': media('document', { caption: 'c' }),
  sticker: media('sticker'),
  location: { kind: 'location', latitude: 0, longitude: 0 },
  contact: { kind: 'contacts', contacts: [{ displayName: 'A', vcard: 'v' }] },
  contacts: {
    kind: 'contacts',
    contacts: [
      { displayName: 'A', vcard: 'v' },
      { displayName: 'B', vcard: 'w' },
    ],
  },
  'poll with one choice': { kind: 'poll', name: 'q', options: ['a', 'b'], selectableCount: 1 },
  poll: { kind: 'poll', name: 'q', options: ['a', 'b'], selectableCount: 0 },
  'forwarded text': {
    kind: 'forward',
    content: encoded({ conversation: 'x' }),
    fromMe: false,
    type: 'text',
    text: 'x',
  },
}

for (const [name, content] of Object.entries(CARRIERS))
  test(`goes with the timer of its chat: ${name}`, () => {
    const context = contextOf(build(content, { timer: { seconds: 60, setAt: 5 }, mentions: [CHAT] }))
    assert.deepEqual([context?.expiration, Number(context?.ephemeralSettingTimestamp)], [60, 5])
    assert.equal(context?.disappearingMode ?? null, null)
    assert.deepEqual(context?.mentionedJid, [CHAT])
    assert.equal(contextOf(build(content))?.expiration ?? 0, 0)
  })

test('the first message under the default of the account says that it is so; a time that is not known is left out', () => {
  const context = contextOf(build({ kind: 'text', text: 'x' }, { timer: { seconds: 60, setAt: 0, byDefault: true } }))
  const { Initiator, Trigger } = proto.DisappearingMode
  const { initiator, trigger, initiatedByMe } = context!.disappearingMode!
  assert.deepEqual([initiator, trigger, initiatedByMe], [Initiator.INITIATED_BY_ME, Trigger.ACCOUNT_SETTING, true])
  assert.equal(Number(context?.ephemeralSettingTimestamp ?? 0), 0)
})

test('a timer that is off leaves nothing behind', () => {
  const message = build({ kind: 'text', text: 'x' }, { timer: { seconds: 0, setAt: 5 } })
  assert.equal(contextOf(message)?.expiration ?? 0, 0)
})

test('a forwarded message goes with the timer of where it goes, not of where it was', () => {
  const contextInfo = {
    expiration: 7,
    ephemeralSettingTimestamp: 3,
    stanzaId: 'Q',
    quotedMessage: { conversation: 'q' },
  }
  const content = encoded({ extendedTextMessage: { text: 'x', contextInfo } })
  const forward = { kind: 'forward', content, fromMe: false, type: 'text', text: 'x' } as const
  const plain = contextOf(build(forward))
  assert.deepEqual([plain?.expiration ?? 0, plain?.stanzaId ?? '', plain?.isForwarded], [0, '', true])
  assert.equal(contextOf(build(forward, { timer: { seconds: 60, setAt: 5 } }))?.expiration, 60)
})

test('a quote names its group when it is answered in private, and only then', () => {
  const content = encoded({ conversation: 'q' })
  const quoted = { messageId: 'Q', chat: GROUP, sender: '902@lid', fromMe: false, content }
  const text = { kind: 'text', text: 'x' } as const
  assert.equal(contextOf(build(text, { quoted }))?.remoteJid, GROUP)
  assert.equal(contextOf(build(text, { quoted }, GROUP))?.remoteJid ?? '', '')
  // a person has two names
  const own = { ...quoted, chat: '4901@s.whatsapp.net' }
  const context = contextOf(build(text, { quoted: own }))
  assert.deepEqual([context?.remoteJid ?? '', context?.stanzaId, context?.participant], ['', 'Q', '902@lid'])
  assert.equal(context?.quotedMessage?.conversation, 'q')
})
