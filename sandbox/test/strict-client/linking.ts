// A client that belongs to nobody yet: it shows QR codes or a link code, and checks every word of the phone's.
import { randomBytes, randomInt } from 'node:crypto'
import { proto } from 'baileys/WAProto/index.js'
import { acceptPairing } from './adv.ts'
import { Connection } from './connection.ts'
import { newKeyPair, shareSecret } from './curve.ts'
import { check } from './inspection.ts'
import type { Installation } from './installation.ts'
import { Mailbox } from './mailbox.ts'
import { addressOf, dataOf, make, numberBytes, part, partsOf, SERVICE, type Stanza, textOf } from './stanza.ts'
import { ctr, expand, sameBytes, sealGcm, stretchCode } from './symmetric.ts'
import type { Endpoint } from './transport.ts'
import { demand, type Violation } from './violation.ts'

/** Crockford's base 32 without the zero. */
const CODE_LETTERS = '123456789ABCDEFGHJKLMNPQRSTVWXYZ'
const REFS = 6
const UNAUTHORIZED = 401

export type SpoilRegistration = (data: proto.ClientPayload.IDevicePairingRegistrationData) => void

export class LinkingClient implements AsyncDisposable {
  readonly #installation: Installation
  readonly #requests = new Mailbox<Stanza>(({ tag, content }) => `${tag} ${Array.isArray(content) && content[0]?.tag}`)
  #connection: Connection | undefined
  /** The key a phone named when it typed our code; its account must be signed with it. */
  #primaryKey: Buffer | undefined
  #violation: Violation | undefined

  private constructor(installation: Installation) {
    this.#installation = installation
  }

  /** Registers; `spoil` changes what is registered. @throws Violation */
  static async connect(
    endpoint: Endpoint,
    own: Installation,
    spoil: SpoilRegistration = () => undefined,
  ): Promise<LinkingClient> {
    const client = new LinkingClient(own)
    client.#connection = await Connection.open(endpoint, own, registrationPayload(own, spoil), {
      receive: (stanza) => client.#requests.add(stanza),
      violation: (violation) => client.#fail(violation),
    })
    client.#connection.whenClosed.then(() => client.#requests.end(client.#violation ?? client.connection.ended!))
    return client
  }

  get connection(): Connection {
    return this.#connection!
  }

  /** The texts of the QR codes, newest clients' form; older ones leave out the address and the platform. */
  async showQr(form: 'url' | 'bare' = 'url'): Promise<readonly string[]> {
    const request = await this.#requests.take((stanza) => part(stanza)?.tag === 'pair-device')
    const refs = partsOf(part(request), 'ref').map(textOf)
    demand(refs.length === REFS && new Set(refs).size === REFS, 'stanza', `${refs.length} refs`)
    for (const ref of refs) demand(/^[\x21-\x7e]{8,}$/.test(ref) && !/[,#]/.test(ref), 'stanza', `ref ${ref}`)
    this.connection.send(make('iq', { type: 'result', id: request.attrs.id, to: SERVICE }))
    const { noise, identity, advSecret } = this.#installation
    const keys = [noise.public, identity.public, advSecret].map((key) => key.toString('base64'))
    return refs.map((ref) =>
      form === 'bare'
        ? [ref, ...keys].join(',')
        : `https://wa.me/settings/linked_devices#${[ref, ...keys, '1'].join(',')}`,
    )
  }

  /** Asks to be linked by a code. `finish` waits for the phone and answers it. @throws RequestRefused */
  async showCode(pn: string): Promise<{ readonly code: string; readonly finish: () => Promise<void> }> {
    const code = Array.from({ length: 8 }, () => CODE_LETTERS[randomInt(CODE_LETTERS.length)]).join('')
    const ephemeral = newKeyPair()
    const [salt, iv] = [randomBytes(32), randomBytes(16)]
    const wrapped = Buffer.concat([salt, iv, ctr(await stretchCode(code, salt), iv, ephemeral.public)])
    const jid = `${pn}@s.whatsapp.net`
    const answer = await this.connection.query('set', 'md', [
      make('link_code_companion_reg', { jid, stage: 'companion_hello', should_show_push_notification: 'true' }, [
        make('link_code_pairing_wrapped_companion_ephemeral_pub', {}, wrapped),
        make('companion_server_auth_key_pub', {}, this.#installation.noise.public),
        make('companion_platform_id', {}, Buffer.from('1')),
        make('companion_platform_display', {}, Buffer.from('Chrome (Linux)')),
        make('link_code_pairing_nonce', {}, Buffer.from([0])),
      ]),
    ])
    const ref = dataOf(part(part(answer, 'link_code_companion_reg'), 'link_code_pairing_ref'))
    demand(ref.length > 0, 'stanza', 'no link_code_pairing_ref')
    const finish = async () => {
      const hello = await this.#requests.take(({ attrs }) => attrs.type === 'link_code_companion_reg')
      const { id, type, from } = hello.attrs
      this.connection.send(make('ack', { class: 'notification', id, type, to: from }))
      const content = part(hello, 'link_code_companion_reg')
      demand(content?.attrs.stage === 'primary_hello', 'stanza', `stage ${content?.attrs.stage}`)
      demand(sameBytes(dataOf(part(content, 'link_code_pairing_ref')), ref), 'stanza', 'another ref')
      const theirs = dataOf(part(content, 'link_code_pairing_wrapped_primary_ephemeral_pub'))
      const primary = dataOf(part(content, 'primary_identity_pub'))
      demand(theirs.length === 80 && primary.length === 32, 'stanza', 'malformed primary_hello')
      this.#primaryKey = primary
      const key = await stretchCode(code, theirs.subarray(0, 32))
      const shared = shareSecret(ephemeral, ctr(key, theirs.subarray(32, 48), theirs.subarray(48)))
      await this.#sendBundle(jid, ref, shared, primary)
    }
    return { code, finish }
  }

  /** Waits for pair-success, verifies it and signs; resolves after the 515. @throws Violation */
  async whenLinked(spoil: (signature: Buffer) => void = () => undefined): Promise<void> {
    const request = await this.#requests.take((stanza) => part(stanza)?.tag === 'pair-success')
    const { id } = request.attrs
    try {
      this.connection.send(make('iq', { type: 'result', id, to: SERVICE }, [this.#accept(part(request)!, spoil)]))
    } catch (error) {
      const refusal = make('error', { code: UNAUTHORIZED, text: 'not-authorized' })
      this.connection.send(make('iq', { type: 'error', id, to: SERVICE }, [refusal]))
      throw error
    }
    const lastWords = await this.connection.whenClosed
    if (lastWords?.attrs.code !== '515') {
      this.#installation.account = undefined
      throw this.#violation ?? this.connection.ended
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.connection.transport.terminate()
    await this.connection.whenClosed
    if (this.#violation !== undefined) throw this.#violation
  }

  #accept(success: Stanza, spoil: (signature: Buffer) => void): Stanza {
    const device = part(success, 'device')
    demand(device !== undefined, 'stanza', 'pair-success without device')
    check(device, { jid: /^\d+:\d+@s\.whatsapp\.net$/, lid: /^\d+:\d+@lid$/ })
    const platform = part(success, 'platform')
    demand(!!platform?.attrs.name, 'stanza', 'pair-success without platform')
    const { jid, lid } = device.attrs as { jid: string; lid: string }
    demand(addressOf(jid)!.device === addressOf(lid)!.device, 'stanza', 'two device numbers')
    const own = this.#installation
    const blob = dataOf(part(success, 'device-identity'))
    const pairing = acceptPairing(blob, own.advSecret, own.identity, Math.floor(Date.now() / 1000))
    const { accountKey, deviceIdentity, keyIndex } = pairing
    if (this.#primaryKey !== undefined) {
      demand(sameBytes(this.#primaryKey, accountKey), 'account_key', 'not the key of the phone that typed the code')
    }
    own.account = { jid, lid, key: accountKey, deviceIdentity }
    own.signal.pinIdentity({ user: addressOf(lid)!.user, device: 0 }, accountKey)
    const claim = proto.ADVSignedDeviceIdentity.decode(pairing.answer)
    const signature = Buffer.from(claim.deviceSignature!)
    spoil(signature)
    const answer = proto.ADVSignedDeviceIdentity.encode({ ...claim, deviceSignature: signature }).finish()
    const identityNode = make('device-identity', { 'key-index': keyIndex }, Buffer.from(answer))
    return make('pair-device-sign', {}, [identityNode])
  }

  async #sendBundle(jid: string, ref: Buffer, shared: Buffer, primary: Buffer): Promise<void> {
    const own = this.#installation
    const [salt, iv, random] = [randomBytes(32), randomBytes(12), randomBytes(32)]
    const key = expand(shared, 32, 'link_code_pairing_key_bundle_encryption_key', salt)
    const sealed = sealGcm(key, iv, Buffer.concat([own.identity.public, primary, random]))
    const secret = expand(Buffer.concat([shared, shareSecret(own.identity, primary), random]), 32, 'adv_secret')
    secret.copy(own.advSecret)
    await this.connection.query('set', 'md', [
      make('link_code_companion_reg', { jid, stage: 'companion_finish' }, [
        make('link_code_pairing_wrapped_key_bundle', {}, Buffer.concat([salt, iv, sealed])),
        make('companion_identity_public', {}, own.identity.public),
        make('link_code_pairing_ref', {}, ref),
      ]),
    ])
  }

  #fail(violation: Violation): void {
    this.#violation ??= violation
    this.#requests.end(violation)
  }
}

function registrationPayload(own: Installation, spoil: SpoilRegistration): proto.IClientPayload {
  const { id, pair, signature } = own.signedPreKey
  const data: proto.ClientPayload.IDevicePairingRegistrationData = {
    eRegid: numberBytes(own.registrationId, 4),
    eKeytype: Buffer.of(5),
    eIdent: own.identity.public,
    eSkeyId: numberBytes(id, 3),
    eSkeyVal: pair.public,
    eSkeySig: Buffer.from(signature),
    buildHash: randomBytes(16),
    deviceProps: proto.DeviceProps.encode({ os: own.name, platformType: 1, requireFullSync: false }).finish(),
  }
  spoil(data)
  return { passive: false, pull: false, pushName: own.name, devicePairingData: data }
}
