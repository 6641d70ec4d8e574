import { randomBytes } from 'node:crypto'
import { proto } from 'baileys/WAProto/index.js'
import { equalBytes } from '../crypto/symmetric.ts'
import { parseJid, SERVICE_JID } from '../wire/jid.ts'
import { type BinaryNode, bytesOf, child, node, textOf } from '../wire/node.ts'
import { Device } from './account.ts'
import type { AccountRegistry } from './account-registry.ts'
import type { DeviceDirectory } from './device-directory.ts'
import { verifyAccountSignature, verifyDeviceSignature, withAccountKey } from './device-identity.ts'
import type { Faults } from './faults.ts'
import type { Metrics } from './metrics.ts'
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
import type { ProblemLog } from './problem-log.ts'
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
  #open = true
  #pairing = false
  #linkCode: LinkCodeRequest | undefined
  #iqCounter = 0
  readonly #waiting = new Map<string, { resolve: (answer: BinaryNode) => void; reject: (error: Error) => void }>()
  #finish: { resolve: (finish: CompanionFinish) => void; reject: (error: Error) => void } | undefined

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
  }

  get open(): boolean {
    return this.#open
  }

  get linkCode(): LinkCodeRequest | undefined {
    return this.#linkCode
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
    const request = this.#linkCode
    if (request === undefined) return Promise.reject(new LinkError('refused', 'the client asked for no link code'))
    if (!this.#open) return Promise.reject(new LinkError('closed', 'the client has gone'))
    return new Promise((resolve, reject) => {
      this.#finish?.reject(new LinkError('refused', 'another primary_hello took its place'))
      this.#finish = { resolve, reject }
      this.notify(
        node('notification', { type: 'link_code_companion_reg', t: this.#seconds() }, [
          node('link_code_companion_reg', { stage: 'primary_hello' }, [
            node('link_code_pairing_wrapped_primary_ephemeral_pub', {}, Buffer.from(hello.wrappedPrimaryEphemeral)),
            node('primary_identity_pub', {}, Buffer.from(hello.primaryIdentity)),
            node('link_code_pairing_ref', {}, Buffer.from(request.ref)),
          ]),
        ]),
      )
    })
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
    const signedIdentity = this.#checkBlob(link)
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
        node('device-identity', {}, this.#tamperedBlob(link)),
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
    this.#finish?.reject(gone)
    this.#passkey.close(gone)
    this.#options.emit({ type: 'registration_closed', registration: this })
  }

  #receiveIq(stanza: BinaryNode) {
    const request = child(stanza)
    const { xmlns } = stanza.attrs
    if (stanza.attrs.id === undefined) return this.#report('malformed', 'an IQ without an id', stanza)
    if (request?.tag === 'ping') return this.#result(stanza)
    if (xmlns === 'md' && request?.tag === 'link_code_companion_reg') return this.#receiveLinkCode(stanza, request)
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

  #receiveLinkCode(stanza: BinaryNode, request: BinaryNode) {
    if (request.attrs.stage === 'companion_hello') return this.#receiveHello(stanza, request)
    if (request.attrs.stage === 'companion_finish') return this.#receiveFinish(stanza, request)
    this.#error(stanza, 400, `no such stage: ${request.attrs.stage}`, 'malformed')
  }

  #receiveHello(stanza: BinaryNode, request: BinaryNode) {
    const jid = parseJid(request.attrs.jid)
    const wrapped = bytesOf(child(request, 'link_code_pairing_wrapped_companion_ephemeral_pub'))
    const serverAuthKey = bytesOf(child(request, 'companion_server_auth_key_pub'))
    const platformId = textOf(child(request, 'companion_platform_id'))
    const display = textOf(child(request, 'companion_platform_display'))
    if (jid?.server !== 's.whatsapp.net' || wrapped?.length !== 80 || !platformId || !display) {
      return this.#error(stanza, 400, 'bad-request', 'malformed')
    }
    if (serverAuthKey === undefined || !equalBytes(serverAuthKey, this.noiseKey)) {
      return this.#error(stanza, 400, 'companion_server_auth_key_pub is not the Noise key', 'malformed')
    }
    if (this.#options.accounts.byPn(jid.user) === undefined) {
      return this.#error(stanza, 404, `nobody has the number ${jid.user}`, 'refused')
    }
    this.#linkCode = {
      phoneNumber: jid.user,
      wrappedCompanionEphemeral: wrapped,
      companionServerAuthKey: serverAuthKey,
      companionPlatformId: platformId,
      companionPlatformDisplay: display,
      ref: makeRef(),
    }
    const ref = node('link_code_pairing_ref', {}, Buffer.from(this.#linkCode.ref))
    this.#result(stanza, [node('link_code_companion_reg', { stage: 'companion_hello' }, [ref])])
    this.#options.emit({ type: 'link_code_requested', registration: this, linkCode: this.#linkCode })
  }

  #receiveFinish(stanza: BinaryNode, request: BinaryNode) {
    const wrappedKeyBundle = bytesOf(child(request, 'link_code_pairing_wrapped_key_bundle'))
    const companionIdentity = bytesOf(child(request, 'companion_identity_public'))
    const ref = textOf(child(request, 'link_code_pairing_ref'))
    const finish = this.#finish
    if (finish === undefined) return this.#error(stanza, 400, 'companion_finish before primary_hello', 'malformed')
    const fits = ref === this.#linkCode?.ref && request.attrs.jid !== undefined
    // salt 32, iv 12, three keys of 32 and the GCM tag
    if (!fits || wrappedKeyBundle?.length !== 156 || companionIdentity?.length !== 32) {
      return this.#error(stanza, 400, 'bad-request', 'malformed')
    }
    if (!equalBytes(companionIdentity, this.keys.identity)) {
      return this.#error(stanza, 400, 'companion_identity_public is not the registered identity', 'bad_signature')
    }
    this.#finish = undefined
    finish.resolve({
      wrappedKeyBundle,
      companionIdentity,
      accept: () => this.#result(stanza),
      refuse: (code, text) => this.#error(stanza, code, text, 'refused'),
    })
  }

  /** Verifies what the phone signed: a wrong blob is the simulated phone's mistake, not the client's. */
  #checkBlob(link: LinkRequest): Uint8Array {
    const { account, keyIndex } = link
    try {
      const { details } = proto.ADVSignedDeviceIdentityHMAC.decode(link.signedIdentityHmac)
      if (!details?.length) throw new Error('the blob lacks details')
      const signed = verifyAccountSignature(details, account.phone.identity, this.keys.identity)
      if (signed.keyIndex !== keyIndex) throw new Error(`signed key index ${signed.keyIndex}, not ${keyIndex}`)
      if (keyIndex < account.nextKeyIndex) throw new Error(`key index ${keyIndex} was used before`)
      return details
    } catch (error) {
      throw new LinkError('bad_identity', error instanceof Error ? error.message : String(error))
    }
  }

  /** The phone's blob, or a forgery of it when a fault asks for one. */
  #tamperedBlob(link: LinkRequest): Buffer {
    const { faults } = this.#options
    const blob = proto.ADVSignedDeviceIdentityHMAC.decode(link.signedIdentityHmac)
    const hmac = faults.tamper('adv_hmac', link.account, blob.hmac!)
    const signed = proto.ADVSignedDeviceIdentity.decode(blob.details!)
    const accountSignature = faults.tamper('adv_account_signature', link.account, signed.accountSignature!)
    if (hmac === blob.hmac && accountSignature === signed.accountSignature) return Buffer.from(link.signedIdentityHmac)
    const details = proto.ADVSignedDeviceIdentity.encode({ ...signed, accountSignature }).finish()
    return Buffer.from(proto.ADVSignedDeviceIdentityHMAC.encode({ ...blob, details, hmac }).finish())
  }

  #checkAnswer(device: Device, sent: Uint8Array, answer: BinaryNode): Buffer {
    if (answer.attrs.type === 'error') {
      return this.#abort('refused', 'the client answered pair-success with an error', answer)
    }
    const identityNode = child(child(answer, 'pair-device-sign'), 'device-identity')
    const encoded = bytesOf(identityNode)
    if (encoded === undefined)
      return this.#abort('malformed', 'the answer to pair-success lacks device-identity', answer)
    const accountIdentity = device.account.phone.identity
    try {
      if (identityNode?.attrs['key-index'] !== String(device.keyIndex)) throw new Error('key-index is not the one sent')
      const [ours, theirs] = [sent, encoded].map((bytes) => proto.ADVSignedDeviceIdentity.decode(bytes))
      if (!equalBytes(ours!.details!, theirs!.details ?? Buffer.alloc(0))) throw new Error('details were changed')
      verifyDeviceSignature(encoded, accountIdentity, device.identity)
    } catch (error) {
      return this.#abort('bad_signature', error instanceof Error ? error.message : String(error), answer)
    }
    return withAccountKey(encoded, accountIdentity)
  }

  #abort(kind: 'refused' | 'malformed' | 'bad_signature', text: string, answer: BinaryNode): never {
    this.#report(kind, text, answer)
    this.#end()
    this.#peer.close(text)
    throw new LinkError('refused', text)
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

  #error(
    stanza: BinaryNode,
    code: number,
    text: string,
    kind: 'malformed' | 'unknown_stanza' | 'refused' | 'bad_signature' = 'refused',
  ) {
    this.#report(kind, text, stanza)
    const error = node('error', { code, text })
    this.#peer.deliver(node('iq', { type: 'error', id: stanza.attrs.id, from: SERVICE_JID }, [error]))
  }

  #report(kind: Parameters<ProblemLog['add']>[0], text: string, stanza: BinaryNode) {
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
