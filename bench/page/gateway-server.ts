import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startGateway } from '../../src/compose.ts'
import { parseConfig } from '../../src/config/config.ts'
import { DeviceTokens } from '../../src/http/tokens.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { hashSecret, newUuid } from '../../src/kernel/ids.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { serveParent } from '../lib/child-side.ts'

/** A gateway with one device and one chat of `argv[2]` messages, received as from WhatsApp. */
const SECRET = 'bench-secret-of-at-least-32-characters'
const COUNT = Number(process.argv[2])
const AT_ONCE = 1_000
const FROM = 1_700_000_000
const folder = mkdtempSync(join(tmpdir(), 'parley-bench-'))
const { config } = parseConfig({
  ADMIN_SECRET_KEY: SECRET,
  JWT_SECRET_KEY: SECRET,
  WHATSAPP_DATASTORE_URI: `sqlite:${join(folder, 'bench.sqlite')}`,
  SERVER_ADDRESS: '127.0.0.1',
  SERVER_PORT: '0',
})
const gateway = await startGateway({
  config,
  logger: createLogger({ level: 'error', format: 'json' }),
  clock: systemClock,
  version: '0.0.0',
  onFatal: (reason) => {
    throw reason
  },
})
const { storage } = gateway
const key = await storage.apiKeys.create(
  {
    keyHash: hashSecret('x'),
    maskedKey: 'wam_xxxx...xxxx',
    customerName: 'bench',
    customerEmail: '',
    customerPhone: '',
    maxDevices: 1,
    rateLimitPerHour: 1000,
  },
  Date.now(),
)
const device = await storage.devices.create(
  { deviceId: newUuid(), apiKeyId: key.id, deviceName: 'bench', secretHash: hashSecret('y') },
  Date.now(),
)
if (typeof device === 'string') throw new Error(device)
const { deviceId } = device

const chat = '77700000000001@lid'
const party = { pn: '4915100000001@s.whatsapp.net', lid: chat }
const idOf = (n: number) => `BENCH${String(n).padStart(8, '0')}`
const receive = (n: number) =>
  storage.intake.commit(deviceId, {
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

const token = new DeviceTokens({ secret: SECRET, clock: systemClock }).issue(device)
serveParent({ port: gateway.port, token, chat: party.pn, deep: idOf(Math.floor(COUNT / 100)) })
