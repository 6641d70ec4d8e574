// A companion that speaks the wire protocol by itself, stanza by stanza, so that a test can say anything it likes.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { proto } from 'baileys/WAProto/index.js'
import { WebSocket } from 'ws'
import { generateKeyPair, type KeyPair, sign, withKeyType } from '../../src/crypto/curve.ts'
import { equalBytes, hmacSha256 } from '../../src/crypto/symmetric.ts'
import type { Sandbox } from '../../src/server.ts'
import { decodeStanza, encodeStanza } from '../../src/wire/codec.ts'
import { FrameReader, frame, WA_HEADER } from '../../src/wire/frames.ts'
import { type BinaryNode, bytesOf, child, children, node, textOf, uintBytes } from '../../src/wire/node.ts'
import { NoiseClient } from './noise-client.ts'

/** What a companion keeps between connections. */
export interface Installation {
  readonly noiseKey: KeyPair
  readonly identity: KeyPair
  readonly signedPreKey: KeyPair
  readonly registrationId: number
  readonly advSecret: Buffer
  serverStatic?: Buffer
  jid?: string
  lid?: string
}

export function makeInstallation(): Installation {
  return {
    noiseKey: generateKeyPair(),
    identity: generateKeyPair(),
    signedPreKey: generateKeyPair(),
    registrationId: 1234,
    advSecret: randomBytes(32),
  }
}

/** The payload of a client without an account; `change` spoils it. */
export function registrationPayload(
  own: Installation,
  change: (data: proto.ClientPayload.IDevicePairingRegistrationData) => void = () => undefined,
): proto.IClientPayload {
  const devicePairingData: proto.ClientPayload.IDevicePairingRegistrationData = {
    eRegid: uintBytes(own.registrationId, 4),
    eKeytype: Buffer.of(5),
    eIdent: own.identity.public,
    eSkeyId: uintBytes(1, 3),
    eSkeyVal: own.signedPreKey.public,
    eSkeySig: sign(own.identity, withKeyType(own.signedPreKey.public)),
    buildHash: randomBytes(16),
    deviceProps: proto.DeviceProps.encode({ os: 'Raw', platformType: 1 }).finish(),
  }
  change(devicePairingData)
  return { passive: false, pull: false, devicePairingData }
}

export function loginPayload(own: Installation, passive = true): proto.IClientPayload {
  const [, user, device] = /^(\d+):(\d+)@/.exec(own.jid ?? '') ?? []
  return { username: Number(user), device: Number(device), passive, pull: true }
}

export class RawClient implements AsyncDisposable {
  readonly own: Installation
  readonly received: BinaryNode[] = []
  pattern: string | undefined
  readonly #socket: WebSocket
  readonly #noise: NoiseClient
  readonly #frames = new FrameReader()
  readonly #waiting = new Set<() => void>()
  #established = false
  #counter = 0
  closed = false

  constructor(own: Installation, socket: WebSocket, noise: NoiseClient) {
    this.own = own
    this.#socket = socket
    this.#noise = noise
    // A server's stream has no header, which the reader wants.
    this.#frames.push(WA_HEADER)
  }

  /** Connects with a payload. Resolves after the handshake. */
  static async connect(sandbox: Sandbox, own: Installation, payload: proto.IClientPayload): Promise<RawClient> {
    const socket = new WebSocket(sandbox.ws, { origin: 'https://web.whatsapp.com' })
    await once(socket, 'open')
    const noise = new NoiseClient({
      root: sandbox.noiseRoot,
      noiseKey: own.noiseKey,
      payload: proto.ClientPayload.encode(payload).finish(),
      ...(own.serverStatic === undefined ? {} : { serverStatic: own.serverStatic }),
    })
    const client = new RawClient(own, socket, noise)
    socket.on('message', (data: Buffer) => client.#receive(data))
    socket.on('close', () => {
      client.closed = true
      client.#wake()
    })
    socket.send(Buffer.concat([WA_HEADER, frame(noise.hello())]))
    await client.#until(() => client.#established || client.closed)
    return client
  }

  send(stanza: BinaryNode): void {
    this.#socket.send(frame(this.#noise.seal(encodeStanza(stanza))))
  }

  /** The first stanza received that fits, once; waits for it. */
  async take(fits: (stanza: BinaryNode) => boolean): Promise<BinaryNode> {
    await this.#until(() => this.received.some(fits) || this.closed)
    const position = this.received.findIndex(fits)
    if (position < 0) throw new Error('the connection ended before such a stanza came')
    return this.received.splice(position, 1)[0]!
  }

  takeTag(tag: string): Promise<BinaryNode> {
    return this.take((stanza) => stanza.tag === tag)
  }

  /** Sends an IQ and returns the answer. */
  query(type: string, xmlns: string, content: BinaryNode[], to = '@s.whatsapp.net'): Promise<BinaryNode> {
    this.#counter += 1
    const id = `q${this.#counter}`
    this.send(node('iq', { id, type, xmlns, to }, content))
    return this.take((stanza) => stanza.tag === 'iq' && stanza.attrs.id === id)
  }

  async whenClosed(): Promise<void> {
    await this.#until(() => this.closed)
  }

  /** Answers pair-device; returns the text of the first QR code. */
  async showQr(): Promise<string> {
    const request = await this.take((stanza) => child(stanza)?.tag === 'pair-device')
    this.send(node('iq', { type: 'result', id: request.attrs.id, to: '@s.whatsapp.net' }))
    const ref = textOf(children(child(request), 'ref')[0])
    const { noiseKey, identity, advSecret } = this.own
    const keys = [noiseKey.public, identity.public, advSecret].map((key) => key.toString('base64'))
    return `https://wa.me/settings/linked_devices#${[ref, ...keys, '1'].join(',')}`
  }

  /** Waits for pair-success, checks the HMAC and signs; `spoil` changes the device signature. */
  async signPairing(spoil: (signature: Buffer) => void = () => undefined): Promise<void> {
    const request = await this.take((stanza) => child(stanza)?.tag === 'pair-success')
    const success = child(request)!
    const blob = proto.ADVSignedDeviceIdentityHMAC.decode(bytesOf(child(success, 'device-identity'))!)
    if (!equalBytes(hmacSha256(this.own.advSecret, blob.details!), blob.hmac!)) throw new Error('the HMAC is wrong')
    const signed = proto.ADVSignedDeviceIdentity.decode(blob.details!)
    const { accountSignatureKey, details } = signed
    const message = Buffer.concat([Buffer.of(6, 1), details!, this.own.identity.public, accountSignatureKey!])
    const deviceSignature = sign(this.own.identity, message)
    spoil(deviceSignature)
    const { jid, lid } = child(success, 'device')!.attrs
    Object.assign(this.own, { jid, lid })
    const keyIndex = proto.ADVDeviceIdentity.decode(details!).keyIndex!
    const encoded = proto.ADVSignedDeviceIdentity.encode({ ...signed, deviceSignature }).finish()
    this.send(
      node('iq', { type: 'result', id: request.attrs.id, to: '@s.whatsapp.net' }, [
        node('pair-device-sign', {}, [node('device-identity', { 'key-index': keyIndex }, Buffer.from(encoded))]),
      ]),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.terminate()
  }

  #receive(data: Buffer): void {
    for (const body of this.#frames.push(data)) {
      if (this.#established) {
        this.received.push(decodeStanza(this.#noise.open(body)))
      } else {
        const finish = this.#noise.answer(body)
        if (finish !== undefined) this.#socket.send(frame(finish))
        this.#established = true
        this.pattern = this.#noise.pattern
        this.own.serverStatic = this.#noise.serverStatic!
      }
    }
    this.#wake()
  }

  #wake(): void {
    for (const check of this.#waiting) check()
  }

  #until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(check)
        const seen = this.received.map((stanza) => `${stanza.tag} ${child(stanza)?.tag ?? ''}`).join(', ')
        reject(new Error(`waited 5 s in vain; unread stanzas: ${seen || 'none'}`))
      }, 5_000)
      const check = () => {
        if (!condition()) return
        clearTimeout(timer)
        this.#waiting.delete(check)
        resolve()
      }
      this.#waiting.add(check)
      check()
    })
  }
}
