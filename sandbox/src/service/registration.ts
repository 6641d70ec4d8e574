import { randomBytes } from 'node:crypto'
import { SERVICE_JID } from '../wire/jid.ts'
import { type BinaryNode, child, node } from '../wire/node.ts'
import { Device } from './account.ts'
import type { AccountRegistry } from './account-registry.ts'
import type { DeviceDirectory } from './device-directory.ts'
import type { Faults } from './faults.ts'
import { LinkCodeCounter } from './link-code-counter.ts'
import type { Metrics } from './metrics.ts'
import { blobForClient, checkPairDeviceSign, checkPhoneBlob } from './pairing-blob.ts'
import { PasskeyCounter } from './passkey-counter.ts'
import type { PasskeyDesk } from './passkey-desk.ts'
import {
  type CompanionFinish,
  type CompanionProps,
  type DeviceKeys,
  type LinkCodeRequest,
  LinkError,
  type LinkRequest,
  type Peer,
  type PrimaryHello,
  type Registration,
  type ServiceEvent,
} from './peer.ts'
import type { ProblemKind, ProblemLog } from './problem-log.ts'
import type { RegistrationPayload } from './registration-payload.ts'
import { endPeer } from './stream-end.ts'

/*
 * waiting --complete()--> pairing --pair-device-sign, all signatures right--> linked (515)
 *    ^                       |
 *    |                       +--error or wrong signature--> closed
 *    +-- primaryHello() / demandPasskey() only exchange stanzas; the state stays
 * any --the client leaves--> closed
 */

/** `link_code_pairing_ref`s and QR refs are printable and this long on WhatsApp, give or take. */
const REF_BYTES = 48

export const REFS_PER_REGISTRATION = 6

export interface RegistrationOptions {
  readonly id: string
  readonly peer: Peer
  readonly noiseKey: Uint8Array
  readonly payload: RegistrationPayload
  readonly clock: () => number
  readonly refLifetimes: { readonly first: number; readonly next: number }
  readonly accounts: AccountRegistry
  readonly directory: DeviceDirectory
  readonly faults: Faults
  readonly log: ProblemLog
  readonly metrics: Metrics
  readonly emit: (event: ServiceEvent) => void
}

export class OpenRegistration implements Registration {
  readonly id: string
  readonly noiseKey: Uint8Array
  readonly keys: DeviceKeys
  readonly props: CompanionProps
  readonly pushName: string | undefined
  readonly #options: RegistrationOptions
  readonly #peer: Peer
  readonly #allRefs: readonly string[]
  readonly #openedAt: number
  readonly #passkey: PasskeyCounter
  readonly #linkCodes: LinkCodeCounter
  #open = true
  #pairing = false
  #iqCounter = 0
  readonly #waiting = new Map<string, { resolve: (answer: BinaryNode) => void; reject: (error: Error) => void }>()

  constructor(options: RegistrationOptions) {
    this.#options = options
    this.#peer = options.peer
    this.id = options.id
    this.noiseKey = options.noiseKey
    this.keys = options.payload.keys
    this.props = options.payload.props
    this.pushName = options.payload.pushName
    this.#openedAt = options.clock()
    this.#allRefs = Array.from({ length: REFS_PER_REGISTRATION }, () => makeRef())
    this.#passkey = new PasskeyCounter({
      registration: this,
      log: options.log,
      notify: (stanza) => this.notify(stanza),
      makeRef,
    })
    this.#linkCodes = new LinkCodeCounter({
      registration: this,
      accounts: options.accounts,
      notify: (stanza) => this.notify(stanza),
      makeRef,
      clock: options.clock,
      onRequest: (linkCode) => options.emit({ type: 'link_code_requested', registration: this, linkCode }),
    })
  }

  get open(): boolean {
    return this.#open
  }

  get linkCode(): LinkCodeRequest | undefined {
    return this.#linkCodes.request
  }

  /** A client shows its first ref for `first` ms and each later one for `next` ms; one that was shown stays valid as long as the next is shown. */
  get refs(): readonly string[] {
    if (!this.#open || this.#pairing) return []
    const { first, next } = this.#options.refLifetimes
    const age = this.#options.clock() - this.#openedAt
    return this.#allRefs.filter((_, position) => age < first + (position + 1) * next)
  }

  /** Sends the refs that the client turns into QR codes. */
  begin() {
    const refs = this.#allRefs.map((ref) => node('ref', {}, Buffer.from(ref)))
    this.#ask(node('pair-device', {}, refs)).then(
      (answer) => {
        if (answer.attrs.type === 'error') this.#report('refused', 'the client refused pair-device', answer)
      },
      () => undefined,
    )
  }

  notify(stanza: BinaryNode) {
    if (!this.#open) return
    this.#peer.deliver({ ...stanza, attrs: { id: this.#nextId(), from: SERVICE_JID, ...stanza.attrs } })
  }

  primaryHello(hello: PrimaryHello): Promise<CompanionFinish> {
    if (!this.#open) return Promise.reject(new LinkError('closed', 'the client has gone'))
    return this.#linkCodes.primaryHello(hello)
  }

  demandPasskey(desk: PasskeyDesk): Promise<void> {
    if (!this.#open) return Promise.reject(new LinkError('closed', 'the client has gone'))
    return this.#passkey.demand(desk)
  }

  async complete(link: LinkRequest): Promise<Device> {
    const { account } = link
    if (!this.#open) throw new LinkError('closed', 'the client has gone')
    if (this.#pairing) throw new LinkError('refused', 'this client is being linked already')
    if (account.companions.length >= account.maxCompanions) {
      throw new LinkError('too_many_devices', `${account.pn} has ${account.maxCompanions} companions already`)
    }
    const signedIdentity = checkPhoneBlob(link, this.keys.identity)
    this.#pairing = true
    const device = new Device(account, account.nextDeviceId, link.keyIndex, this.keys, this.props)
    // Reserved at once: another client linked meanwhile must not get the same id or index.
    account.nextDeviceId += 1
    account.nextKeyIndex = Math.max(account.nextKeyIndex, link.keyIndex + 1)
    device.noiseKey = this.noiseKey
    const answer = await this.#ask(
      node('pair-success', {}, [
        node('device', { jid: device.jid, lid: device.lid }),
        node('platform', { name: account.platform }),
        node('device-identity', {}, blobForClient(link, this.#options.faults)),
        ...(account.businessName === undefined ? [] : [node('biz', { name: account.businessName })]),
      ]),
    )
    device.signedIdentity = this.#checkAnswer(device, signedIdentity, answer)
    this.#options.directory.add(device)
    this.#options.metrics.linked += 1
    this.#end()
    endPeer(this.#peer, { kind: 'stream_error', code: 515 })
    return device
  }

  /** Takes one stanza from the client. */
  receive(stanza: BinaryNode) {
    const { tag, attrs } = stanza
    if (tag === 'iq' && (attrs.type === 'result' || attrs.type === 'error')) return this.#settle(stanza)
    if (tag === 'iq') return this.#receiveIq(stanza)
    // Baileys says presence and telemetry before it is anybody; acks of notifications ask for nothing either.
    if (tag === 'ack' || tag === 'ib' || tag === 'presence') return
    this.#report('forbidden', `<${tag}> from a client that is not linked`, stanza)
  }

  end(reason: string) {
    if (!this.#open) return
    this.#end()
    this.#peer.close(reason)
  }

  /** The client's connection has ended. */
  closed() {
    this.#end()
  }

  #end() {
    if (!this.#open) return
    this.#open = false
    const gone = new LinkError('closed', 'the client has gone')
    for (const waiter of this.#waiting.values()) waiter.reject(gone)
    this.#waiting.clear()
    this.#linkCodes.close(gone)
    this.#passkey.close(gone)
    this.#options.emit({ type: 'registration_closed', registration: this })
  }

  #receiveIq(stanza: BinaryNode) {
    const request = child(stanza)
    const { xmlns } = stanza.attrs
    if (stanza.attrs.id === undefined) return this.#report('malformed', 'an IQ without an id', stanza)
    if (request?.tag === 'ping') return this.#result(stanza)
    if (xmlns === 'md' && request?.tag === 'link_code_companion_reg') {
      this.#linkCodes.receive(request, {
        result: (content) => this.#result(stanza, content),
        error: (code, text, kind) => this.#error(stanza, code, text, kind),
      })
      return
    }
    if (xmlns === 'md' && request?.tag === 'remove-companion-device') return this.#result(stanza)
    if (xmlns === 'md' && request !== undefined && this.#passkey.handles(request.tag)) {
      this.#passkey.receive(stanza, request, {
        result: (content) => this.#result(stanza, content),
        error: (code, text) => this.#error(stanza, code, text),
      })
      return
    }
    this.#error(stanza, 501, 'feature-not-implemented', 'unknown_stanza')
  }

  #checkAnswer(device: Device, sent: Uint8Array, answer: BinaryNode): Buffer {
    try {
      if (answer.attrs.type === 'error') throw new Error('the client answered pair-success with an error')
      return checkPairDeviceSign(device, sent, answer)
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      this.#report(answer.attrs.type === 'error' ? 'refused' : 'bad_signature', text, answer)
      this.#end()
      this.#peer.close(text)
      throw new LinkError('refused', text)
    }
  }

  /** Sends an IQ of the service's own and waits for the answer. */
  #ask(request: BinaryNode): Promise<BinaryNode> {
    const id = this.#nextId()
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#peer.deliver(node('iq', { type: 'set', xmlns: 'md', id, from: SERVICE_JID, t: this.#seconds() }, [request]))
    })
  }

  #settle(answer: BinaryNode) {
    const waiter = this.#waiting.get(answer.attrs.id ?? '')
    if (waiter === undefined) return this.#report('malformed', 'an answer to nothing', answer)
    this.#waiting.delete(answer.attrs.id!)
    waiter.resolve(answer)
  }

  #result(stanza: BinaryNode, content?: BinaryNode[]) {
    this.#peer.deliver(node('iq', { type: 'result', id: stanza.attrs.id, from: SERVICE_JID }, content))
  }

  #error(stanza: BinaryNode, code: number, text: string, kind: ProblemKind = 'refused') {
    this.#report(kind, text, stanza)
    const error = node('error', { code, text })
    this.#peer.deliver(node('iq', { type: 'error', id: stanza.attrs.id, from: SERVICE_JID }, [error]))
  }

  #report(kind: ProblemKind, text: string, stanza: BinaryNode) {
    this.#options.log.add(kind, this.id, text, stanza)
  }

  #nextId(): string {
    this.#iqCounter += 1
    return `${this.id}.${this.#iqCounter}`
  }

  #seconds(): number {
    return Math.floor(this.#options.clock() / 1000)
  }
}

/** Printable, as a QR code needs it: no comma, no hash. */
function makeRef(): string {
  return `2@${randomBytes(REF_BYTES).toString('base64')}`
}
