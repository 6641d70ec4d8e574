/**
 * Unmodified Baileys with its own libsignal, keys in memory, no logs: what a program costs that does nothing but the
 * protocol. Resolves its packages from this folder. Not type-checked, because these need not be installed.
 */
import { BufferJSON, DisconnectReason, makeWASocket, WA_CERT_DETAILS } from 'baileys'
import { serveParent } from '../lib/child-side.ts'

const silent = {
  level: 'silent',
  child: () => silent,
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}
// libsignal prints key material of every session it closes; that is neither wanted nor part of the protocol
console.info = () => undefined

const sockets = []
let received = 0

/** `keys` of a socket: plain values in a Map, as they come. */
const memoryKeys = (preKeys) => {
  const values = new Map(preKeys.map(([id, json]) => [`pre-key|${id}`, JSON.parse(json, BufferJSON.reviver)]))
  return {
    values,
    get: async (type, ids) => Object.fromEntries(ids.map((id) => [id, values.get(`${type}|${id}`)])),
    set: async (data) => {
      for (const [type, entries] of Object.entries(data))
        for (const [id, value] of Object.entries(entries))
          if (value === null || value === undefined) values.delete(`${type}|${id}`)
          else values.set(`${type}|${id}`, value)
    },
  }
}

const openOne = (url, { creds, preKeys }) =>
  new Promise((resolve, reject) => {
    const keys = memoryKeys(preKeys)
    const sock = makeWASocket({
      waWebSocketUrl: url,
      auth: { creds: JSON.parse(creds, BufferJSON.reviver), keys },
      logger: silent,
      markOnlineOnConnect: false,
    })
    sock.ev.on('messages.upsert', ({ messages }) => {
      received += messages.length
    })
    sock.ev.on('connection.update', ({ connection, lastDisconnect }) => {
      if (connection === 'open') resolve({ sock, keys })
      if (connection === 'close')
        reject(lastDisconnect?.error ?? new Error(`closed: ${DisconnectReason.connectionClosed}`))
    })
  })

const open = async ({ url, noiseRoot, accounts, concurrency }) => {
  WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(noiseRoot, 'hex')
  const waiting = [...accounts]
  const first = sockets.length
  sockets.length += accounts.length
  let next = first
  const worker = async () => {
    for (let account = waiting.shift(); account !== undefined; account = waiting.shift()) {
      const at = next++
      sockets[at] = await openOne(url, account)
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, accounts.length) }, worker))
}

/** Texts in turn to `jids`, from each of the first `sessions` sockets in turn, `inFlight` calls at once. */
const send = async ({ jids, count, inFlight, sessions = 1, text }) => {
  let next = 0
  const worker = async () => {
    while (next < count) {
      const at = next++
      await sockets[at % sessions].sock.sendMessage(jids[Math.floor(at / sessions) % jids.length], { text })
    }
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
}

serveParent(
  {},
  {
    open,
    send,
    received: () => received,
    memory: () => process.memoryUsage(),
    /** Bytes of the largest stored sender key. */
    senderKeyBytes: () =>
      Math.max(
        0,
        ...sockets.flatMap(({ keys }) =>
          [...keys.values].flatMap(([name, value]) => (name.startsWith('sender-key|') ? [value.length] : [])),
        ),
      ),
  },
)
