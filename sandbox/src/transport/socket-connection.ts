import { proto } from 'baileys/WAProto/index.js'
import type { WebSocket } from 'ws'
import { equalBytes } from '../crypto/symmetric.ts'
import type { Device } from '../service/account.ts'
import type { OpenRegistration } from '../service/registration.ts'
import { type RegistrationPayload, readRegistrationPayload } from '../service/registration-payload.ts'
import type { Service } from '../service/service.ts'
import { endPeer, type StallablePeer } from '../service/stream-end.ts'
import type { NoiseIdentity } from '../wire/certificate-chain.ts'
import { decodeStanza, encodeStanza } from '../wire/codec.ts'
import { FrameReader, frame } from '../wire/frames.ts'
import { SERVICE_JID } from '../wire/jid.ts'
import { type BinaryNode, node } from '../wire/node.ts'
import { type Handshaken, NoiseServer, type NoiseTransport } from '../wire/noise-server.ts'

/*
 * hello --clientHello--> finish --clientFinish--> registering | device     (IK skips finish)
 * any --close, error, fault--> closed
 */

export interface SocketConnectionOptions {
  readonly socket: WebSocket
  readonly service: Service
  readonly identity: NoiseIdentity
  readonly clock: () => number
  readonly onClosed: (connection: SocketConnection) => void
}

type State =
  | { readonly name: 'hello'; readonly noise: NoiseServer }
  | { readonly name: 'finish'; readonly noise: NoiseServer }
  | { readonly name: 'registering'; readonly registration: OpenRegistration }
  | { readonly name: 'device'; readonly device: Device }
  | { readonly name: 'closed' }

/** One client on a WebSocket: framing, Noise, and then either a registration or a device's stanzas. */
export class SocketConnection implements StallablePeer {
  readonly #options: SocketConnectionOptions
  readonly #frames = new FrameReader()
  readonly #number: number
  #state: State
  #transport: NoiseTransport | undefined
  #stalled = false
  #pings = 0
  /** When the client last sent anything, by the options' clock. */
  heardAt: number

  constructor(options: SocketConnectionOptions) {
    const { socket, identity, service } = options
    this.#options = options
    this.#number = service.wire.open()
    this.heardAt = options.clock()
    const forged = service.faults.take('tamper', undefined, (fault) => fault.target === 'certificate') !== undefined
    const certificate = forged ? identity.forgedCertificate : identity.certificate
    this.#state = { name: 'hello', noise: new NoiseServer({ static: identity.static, certificate }) }
    socket.on('message', (data: Buffer) => this.#receive(data))
    socket.on('close', () => this.#closed())
    socket.on('error', (error) => service.log.add('handshake', this.#name(), `socket error: ${error.message}`))
  }

  /** Whether the handshake is over. */
  get established(): boolean {
    return this.#transport !== undefined
  }

  deliver(stanza: BinaryNode): void {
    if (this.#transport === undefined || this.#stalled || this.#state.name === 'closed') return
    const framed = frame(this.#transport.encrypt(encodeStanza(stanza)))
    const { metrics, wire } = this.#options.service
    if (this.#state.name === 'device') wire.record(this.#state.device.jid, this.#number, 'out', stanza)
    metrics.stanzasOut += 1
    metrics.bytesOut += framed.length
    this.#options.socket.send(framed)
  }

  close(_reason: string): void {
    this.#closed()
    this.#options.socket.close()
  }

  stall(): void {
    this.#stalled = true
  }

  /** Asks a silent client whether it is still there; any answer will do. */
  ping(): void {
    this.#pings += 1
    const attrs = { id: `ping${this.#pings}`, type: 'get', xmlns: 'urn:xmpp:ping', from: SERVICE_JID }
    this.deliver(node('iq', attrs, [node('ping')]))
  }

  #receive(data: Buffer): void {
    if (this.#stalled || this.#state.name === 'closed') return
    this.heardAt = this.#options.clock()
    this.#options.service.metrics.bytesIn += data.length
    try {
      for (const body of this.#frames.push(data)) this.#receiveFrame(body)
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      this.#options.service.log.add(this.established ? 'malformed' : 'handshake', this.#name(), text)
      this.close(text)
    }
  }

  #receiveFrame(body: Buffer): void {
    const state = this.#state
    switch (state.name) {
      case 'hello': {
        const { reply, done } = state.noise.receiveHello(body)
        this.#options.socket.send(frame(reply))
        if (done === undefined) this.#state = { name: 'finish', noise: state.noise }
        else this.#admit(done)
        return
      }
      case 'finish':
        this.#admit(state.noise.receiveFinish(body))
        return
      case 'registering':
        this.#options.service.metrics.stanzasIn += 1
        state.registration.receive(this.#decode(body))
        return
      case 'device': {
        const stanza = this.#decode(body)
        const { service } = this.#options
        service.wire.record(state.device.jid, this.#number, 'in', stanza)
        service.receive(state.device, stanza)
        return
      }
      case 'closed':
    }
  }

  #decode(body: Buffer): BinaryNode {
    return decodeStanza(this.#transport!.decrypt(body))
  }

  /** The handshake is over: who is it? */
  #admit(handshaken: Handshaken): void {
    this.#transport = handshaken.transport
    const payload = proto.ClientPayload.decode(handshaken.payload)
    const username = payload.username == null ? '' : String(payload.username)
    if (username === '' || username === '0') this.#register(handshaken, payload)
    else this.#login(handshaken, username, payload)
  }

  #register(handshaken: Handshaken, payload: proto.IClientPayload) {
    const { service } = this.#options
    const fault = service.faults.take('fail_registration')
    if (fault !== undefined) return this.#fail(fault.reason, fault.expireSeconds)
    let read: RegistrationPayload
    try {
      read = readRegistrationPayload(payload)
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      service.log.add('bad_signature', 'connection', `registration refused: ${text}`)
      this.#fail(400)
      return
    }
    const registration = service.registrations.start(this, handshaken.clientStatic, read)
    this.#state = { name: 'registering', registration }
  }

  #login(handshaken: Handshaken, username: string, payload: proto.IClientPayload) {
    const { service, clock } = this.#options
    const account = service.accounts.byPn(username)
    const device = account?.devices.get(payload.device ?? 0)
    const fault = account === undefined ? undefined : service.faults.take('fail_login', account)
    if (fault !== undefined) return this.#fail(fault.reason, fault.expireSeconds)
    const known = device?.noiseKey !== undefined && equalBytes(device.noiseKey, handshaken.clientStatic)
    if (device === undefined || !known) {
      service.log.add('refused', `${username}:${payload.device ?? 0}`, 'login of a device that is not linked')
      return this.#fail(401)
    }
    service.metrics.logins += 1
    this.#state = { name: 'device', device }
    const seconds = Math.floor(clock() / 1000)
    this.deliver(
      node('success', {
        t: seconds,
        props: 1,
        abprops: 1,
        lid: device.lid,
        display_name: device.account.pushName,
        location: 'sbx',
        creation: Math.floor(device.account.createdAt / 1000),
      }),
    )
    service.connect(device, this, { passive: payload.passive === true })
  }

  #fail(reason: number, expireSeconds?: number) {
    endPeer(this, { kind: 'failure', reason, ...(expireSeconds === undefined ? {} : { expireSeconds }) })
  }

  #closed(): void {
    const state = this.#state
    if (state.name === 'closed') return
    this.#state = { name: 'closed' }
    if (state.name === 'registering') state.registration.closed()
    if (state.name === 'device') this.#options.service.disconnect(state.device, this)
    this.#options.onClosed(this)
  }

  #name(): string {
    const state = this.#state
    if (state.name === 'device') return state.device.jid
    return state.name === 'registering' ? state.registration.id : 'connection'
  }
}
