// How a phone takes a companion: it scans a code or types one, asks for a passkey if its owner has one, and signs.

import { equalBytes, hmacSha256 } from '../crypto/symmetric.ts'
import { type PasskeyState, PhoneDesk } from '../passkey/phone-desk.ts'
import type { Credential } from '../passkey/webauthn.ts'
import type { Device } from '../service/account.ts'
import { LinkError, type Registration } from '../service/peer.ts'
import type { Service } from '../service/service.ts'
import { certifyCompanion } from './adv.ts'
import { KeyedLock } from './keyed-lock.ts'
import { answerCompanionHello, normalizeLinkCode, openKeyBundle } from './link-code.ts'
import type { Phone } from './phone.ts'
import { parseLinkingQr } from './qr.ts'

/** What keeps a phone from linking. */
export type LinkRefusal =
  | 'bad_qr' // the text is no linking code, or its keys are not those of the client
  | 'bad_code' // not eight letters and digits
  | 'expired' // nobody shows that code any more
  | 'wrong_code'
  | 'no_answer' // the client did not go on within the time
  | 'declined' // the person does not link devices
  | 'too_many_devices'
  | 'phone_offline'
  | 'client_gone'
  | 'link_failed' // the client refused, or answered with a wrong signature

export class LinkRefused extends Error {
  readonly code: LinkRefusal
  constructor(code: LinkRefusal, text: string) {
    super(text)
    this.name = 'LinkRefused'
    this.code = code
  }
}

/** `none`: link at once. `required`: a passkey first; a handoff proof stands for the comparison of codes. */
export type PasskeyDemand = 'none' | 'required' | 'required_with_code'

export type LinkResult =
  | { readonly status: 'linked'; readonly device: Device }
  | { readonly status: 'passkey_required' }

export interface LinkingOptions {
  readonly service: Service
  readonly phone: Phone
  readonly clock: () => number
  /** How long a client may take to answer, in ms. */
  readonly answerTimeoutMs?: number
}

const ANSWER_TIMEOUT_MS = 20_000

export class Linking {
  passkey: PasskeyDemand = 'none'
  /** False: the person declines every link. */
  accepts = true
  /** What the server knows of the person's passkey. */
  credential: Credential | undefined
  readonly #options: LinkingOptions
  readonly #lock = new KeyedLock()
  #desk: PhoneDesk | undefined

  constructor(options: LinkingOptions) {
    this.#options = options
  }

  /** The newest passkey linking, if there was one. */
  get desk(): PhoneDesk | undefined {
    return this.#desk
  }

  get passkeyState(): PasskeyState | 'none' {
    return this.#desk?.state ?? 'none'
  }

  /** Scans the text of a QR code. @throws LinkRefused */
  async scan(text: string): Promise<LinkResult> {
    const { service } = this.#options
    this.#checkWillingness()
    const qr = parseLinkingQr(text)
    if (qr === undefined) throw new LinkRefused('bad_qr', 'this is not the text of a linking code')
    const registration = service.registrations.findByRef(qr.ref)
    if (registration === undefined) throw new LinkRefused('expired', 'no client shows this code (any more)')
    const { noiseKey, keys } = registration
    if (!equalBytes(qr.noiseKey, noiseKey) || !equalBytes(qr.identityKey, keys.identity)) {
      throw new LinkRefused('bad_qr', 'the keys in the code are not those of the client that shows it')
    }
    return this.#link(registration, qr.advSecret)
  }

  /** Types a link code that a client shows. @throws LinkRefused */
  async enterCode(text: string): Promise<LinkResult> {
    const { service, phone } = this.#options
    this.#checkWillingness()
    const code = normalizeLinkCode(text)
    if (code === undefined) throw new LinkRefused('bad_code', 'a link code has eight letters and digits')
    const registration = service.registrations.findByPhoneNumber(phone.account.pn)
    if (registration?.linkCode === undefined) {
      throw new LinkRefused('expired', `no client waits for a code of ${phone.account.pn}`)
    }
    this.#checkRoom()
    const hello = await answerCompanionHello(code, registration.linkCode.wrappedCompanionEphemeral)
    const finish = await this.#inTime(
      registration.primaryHello({
        wrappedPrimaryEphemeral: hello.wrappedPrimaryEphemeral,
        primaryIdentity: phone.identity.public,
      }),
    )
    const advSecret = openKeyBundle({
      hello,
      identity: phone.identity,
      companionIdentity: finish.companionIdentity,
      bundle: finish.wrappedKeyBundle,
    })
    if (advSecret === undefined) {
      finish.refuse(400, 'the key bundle does not open')
      throw new LinkRefused('wrong_code', 'the client shows another code')
    }
    if (!equalBytes(finish.companionIdentity, registration.keys.identity)) {
      finish.refuse(400, 'the companion identity is not the registered one')
      throw new LinkRefused('link_failed', 'the client named another identity than it registered with')
    }
    finish.accept()
    return this.#link(registration, advSecret)
  }

  async #link(registration: Registration, advSecret: Uint8Array): Promise<LinkResult> {
    if (this.passkey === 'none') {
      return { status: 'linked', device: await this.#complete(registration, advSecret) }
    }
    this.#checkRoom()
    this.#demandPasskey(registration, advSecret)
    return { status: 'passkey_required' }
  }

  #demandPasskey(registration: Registration, advSecret: Uint8Array): void {
    const { service, clock } = this.#options
    if (this.credential === undefined) throw new LinkRefused('link_failed', 'this person has no passkey')
    const desk = new PhoneDesk({
      credential: this.credential,
      advSecret,
      alwaysConfirm: this.passkey === 'required_with_code',
      clock,
      onRefusal: (text) => service.log.add('refused', registration.id, `passkey linking: ${text}`),
    })
    this.#desk?.reject()
    this.#desk = desk
    const run = async () => {
      await registration.demandPasskey(desk)
      await desk.decision
      await this.#complete(registration, desk.advSecret!)
      desk.finish('linked')
    }
    run().catch((error: unknown) => {
      desk.finish('failed')
      registration.end('not linked')
      service.log.add(
        'refused',
        registration.id,
        `passkey linking ended: ${error instanceof Error ? error.message : error}`,
      )
    })
  }

  /** One link at a time per account: each takes the next key index. */
  #complete(registration: Registration, advSecret: Uint8Array): Promise<Device> {
    const { phone, clock } = this.#options
    return this.#lock.run('link', async () => {
      this.#checkRoom()
      const { account } = phone
      const certificate = certifyCompanion({
        accountIdentity: phone.identity,
        companionIdentity: registration.keys.identity,
        advSecret,
        rawId: phone.rawId,
        keyIndex: account.nextKeyIndex,
        timestamp: Math.floor(clock() / 1000),
      })
      return this.#inTime(
        registration.complete({
          account,
          keyIndex: account.nextKeyIndex,
          signedIdentityHmac: certificate.blob,
          seal: (signed) => hmacSha256(advSecret, signed),
        }),
      )
    })
  }

  #checkWillingness(): void {
    if (!this.#options.phone.online) throw new LinkRefused('phone_offline', 'the phone has no network')
    if (!this.accepts) throw new LinkRefused('declined', 'the person declines to link a device')
  }

  #checkRoom(): void {
    const { companions, maxCompanions } = this.#options.phone.account
    if (companions.length >= maxCompanions) {
      throw new LinkRefused('too_many_devices', `the account has its ${maxCompanions} linked devices already`)
    }
  }

  async #inTime<Result>(answer: Promise<Result>): Promise<Result> {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(
      () => late.reject(new LinkRefused('no_answer', 'the client did not answer')),
      this.#options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS,
    )
    try {
      return await Promise.race([answer, late.promise])
    } catch (error) {
      throw toRefusal(error)
    } finally {
      clearTimeout(timer)
      late.promise.catch(() => undefined)
    }
  }
}

function toRefusal(error: unknown): unknown {
  if (!(error instanceof LinkError)) return error
  if (error.failure === 'too_many_devices') return new LinkRefused('too_many_devices', error.message)
  return new LinkRefused(error.failure === 'closed' ? 'client_gone' : 'link_failed', error.message)
}
