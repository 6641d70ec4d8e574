import { equalBytes } from '../crypto/symmetric.ts'
import { parseJid } from '../wire/jid.ts'
import { type BinaryNode, bytesOf, child, node, textOf } from '../wire/node.ts'
import type { AccountRegistry } from './account-registry.ts'
import { type CompanionFinish, type LinkCodeRequest, LinkError, type PrimaryHello, type Registration } from './peer.ts'
import type { ProblemKind } from './problem-log.ts'

/** salt 32, iv 16, public key 32. */
const WRAPPED_EPHEMERAL_BYTES = 80
/** salt 32, iv 12, three keys of 32 and the GCM tag. */
const WRAPPED_BUNDLE_BYTES = 156

export interface LinkCodeCounterOptions {
  readonly registration: Registration
  readonly accounts: AccountRegistry
  readonly notify: (stanza: BinaryNode) => void
  readonly makeRef: () => string
  readonly clock: () => number
  readonly onRequest: (request: LinkCodeRequest) => void
}

/** How one IQ is answered; an error is logged as well. */
export interface LinkCodeReply {
  result(content?: BinaryNode[]): void
  error(code: number, text: string, kind: ProblemKind): void
}

/** Carries a link code between one client and the phone of the number it asked for. Knows no secret of either. */
export class LinkCodeCounter {
  readonly #options: LinkCodeCounterOptions
  #request: LinkCodeRequest | undefined
  #finish: { resolve: (finish: CompanionFinish) => void; reject: (error: Error) => void } | undefined

  constructor(options: LinkCodeCounterOptions) {
    this.#options = options
  }

  get request(): LinkCodeRequest | undefined {
    return this.#request
  }

  /** Sends the phone's half; resolves with the client's answer. */
  primaryHello(hello: PrimaryHello): Promise<CompanionFinish> {
    const request = this.#request
    if (request === undefined) return Promise.reject(new LinkError('refused', 'the client asked for no link code'))
    return new Promise((resolve, reject) => {
      this.#finish?.reject(new LinkError('refused', 'another primary_hello took its place'))
      this.#finish = { resolve, reject }
      const t = Math.floor(this.#options.clock() / 1000)
      this.#options.notify(
        node('notification', { type: 'link_code_companion_reg', t }, [
          node('link_code_companion_reg', { stage: 'primary_hello' }, [
            node('link_code_pairing_wrapped_primary_ephemeral_pub', {}, Buffer.from(hello.wrappedPrimaryEphemeral)),
            node('primary_identity_pub', {}, Buffer.from(hello.primaryIdentity)),
            node('link_code_pairing_ref', {}, Buffer.from(request.ref)),
          ]),
        ]),
      )
    })
  }

  close(reason: LinkError): void {
    this.#finish?.reject(reason)
    this.#finish = undefined
  }

  /** Takes a client's `<link_code_companion_reg>`. */
  receive(request: BinaryNode, reply: LinkCodeReply): void {
    const { stage } = request.attrs
    if (stage === 'companion_hello') this.#receiveHello(request, reply)
    else if (stage === 'companion_finish') this.#receiveFinish(request, reply)
    else reply.error(400, `no such stage: ${stage}`, 'malformed')
  }

  #receiveHello(request: BinaryNode, reply: LinkCodeReply) {
    const { accounts, makeRef, onRequest, registration } = this.#options
    const jid = parseJid(request.attrs.jid)
    const wrapped = bytesOf(child(request, 'link_code_pairing_wrapped_companion_ephemeral_pub'))
    const serverAuthKey = bytesOf(child(request, 'companion_server_auth_key_pub'))
    const platformId = textOf(child(request, 'companion_platform_id'))
    const display = textOf(child(request, 'companion_platform_display'))
    const complete = wrapped?.length === WRAPPED_EPHEMERAL_BYTES && platformId && display
    if (jid?.server !== 's.whatsapp.net' || !complete) return reply.error(400, 'bad-request', 'malformed')
    if (serverAuthKey === undefined || !equalBytes(serverAuthKey, registration.noiseKey)) {
      return reply.error(400, 'companion_server_auth_key_pub is not the Noise key', 'malformed')
    }
    if (accounts.byPn(jid.user) === undefined) return reply.error(404, `nobody has the number ${jid.user}`, 'refused')
    this.#request = {
      phoneNumber: jid.user,
      wrappedCompanionEphemeral: wrapped,
      companionServerAuthKey: serverAuthKey,
      companionPlatformId: platformId,
      companionPlatformDisplay: display,
      ref: makeRef(),
    }
    const ref = node('link_code_pairing_ref', {}, Buffer.from(this.#request.ref))
    reply.result([node('link_code_companion_reg', { stage: 'companion_hello' }, [ref])])
    onRequest(this.#request)
  }

  #receiveFinish(request: BinaryNode, reply: LinkCodeReply) {
    const wrappedKeyBundle = bytesOf(child(request, 'link_code_pairing_wrapped_key_bundle'))
    const companionIdentity = bytesOf(child(request, 'companion_identity_public'))
    const ref = textOf(child(request, 'link_code_pairing_ref'))
    const finish = this.#finish
    if (finish === undefined) return reply.error(400, 'companion_finish before primary_hello', 'malformed')
    const fits = ref === this.#request?.ref && wrappedKeyBundle?.length === WRAPPED_BUNDLE_BYTES
    if (!fits || companionIdentity?.length !== 32) return reply.error(400, 'bad-request', 'malformed')
    if (!equalBytes(companionIdentity, this.#options.registration.keys.identity)) {
      return reply.error(400, 'companion_identity_public is not the registered identity', 'bad_signature')
    }
    this.#finish = undefined
    finish.resolve({
      wrappedKeyBundle,
      companionIdentity,
      accept: () => reply.result(),
      refuse: (code, text) => reply.error(code, text, 'refused'),
    })
  }
}
