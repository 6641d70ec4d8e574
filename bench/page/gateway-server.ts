import { serveParent } from '../lib/child-side.ts'
import { composeGateway } from '../lib/composed-gateway.ts'

/** A gateway with one device and one chat of `argv[2]` messages, received as from WhatsApp. */
const COUNT = Number(process.argv[2])
const AT_ONCE = 1_000
const FROM = 1_700_000_000
const { gateway, deviceId, token } = await composeGateway('error')

const chat = '77700000000001@lid'
const party = { pn: '4915100000001@s.whatsapp.net', lid: chat }
const idOf = (n: number) => `BENCH${String(n).padStart(8, '0')}`
const receive = (n: number) =>
  gateway.storage.intake.commit(deviceId, {
    key: `m:${n}`,
    chat,
    chatParty: party,
    senderParty: party,
    message: {
      chat,
      messageId: idOf(n),
      sender: chat,
      fromMe: false,
      type: 'text',
      text: `Message ${n}, of an ordinary length for a chat between two people.`,
      quotedMessageId: undefined,
      pushName: 'Ann',
      timestamp: FROM + n,
      state: 'received',
      failureCode: undefined,
      content: undefined,
    },
    events: () => [],
  })
for (let from = 0; from < COUNT; from += AT_ONCE)
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, COUNT - from) }, (_, i) => receive(from + i)))

serveParent({ port: gateway.port, token, chat: party.pn, deep: idOf(Math.floor(COUNT / 100)) })
