import { proto } from 'baileys/WAProto/index.js'
import { type BinaryNode, bytesOf, child, node } from '../wire/node.ts'
import { type PasskeyDesk, Refusal } from './passkey-desk.ts'
import type { LinkError, Registration } from './peer.ts'
import type { ProblemLog } from './problem-log.ts'

/*
 * The service's side of passkey linking. Steps, each allowed only after the one before it:
 *
 *   demanded --passkey_prologue--> prologue --companion_nonce--> nonce --encrypted_pairing_request--> accepted
 *
 * A refused step leaves the state as it is: the client may try again.
 */
type Step = 'none' | 'demanded' | 'prologue' | 'nonce' | 'accepted'

const TAGS = new Set([
  'passkey_request_options',
  'ref',
  'passkey_prologue',
  'companion_nonce',
  'encrypted_pairing_request',
])

export interface PasskeyCounterOptions {
  readonly registration: Registration
  readonly log: ProblemLog
  readonly notify: (stanza: BinaryNode) => void
  readonly makeRef: () => string
}

/** How one IQ is answered. */
export interface Reply {
  result(content?: BinaryNode[]): void
  error(code: number, text: string): void
}

/** Leads one client through passkey linking: checks the order of the steps and asks the phone's desk about each. */
export class PasskeyCounter {
  readonly #options: PasskeyCounterOptions
  #desk: PasskeyDesk | undefined
  #step: Step = 'none'
  #ref: string | undefined
  #outcome: { resolve: () => void; reject: (error: Error) => void } | undefined

  constructor(options: PasskeyCounterOptions) {
    this.#options = options
  }

  handles(tag: string): boolean {
    return TAGS.has(tag)
  }

  demand(desk: PasskeyDesk): Promise<void> {
    this.#desk = desk
    this.#step = 'demanded'
    return new Promise((resolve, reject) => {
      this.#outcome = { resolve, reject }
      this.#options.notify(node('notification', { type: 'passkey_prologue_request' }, [this.#requestOptions(desk)]))
    })
  }

  close(reason: LinkError) {
    this.#outcome?.reject(reason)
    this.#outcome = undefined
  }

  receive(stanza: BinaryNode, request: BinaryNode, reply: Reply) {
    const desk = this.#desk
    if (desk === undefined) return reply.error(403, 'no passkey was asked for')
    this.#serve(desk, stanza, request, reply).catch((error: unknown) => {
      if (error instanceof Refusal) return reply.error(error.code, error.message)
      this.#options.log.add('internal', this.#options.registration.id, String(error), stanza)
      reply.error(500, 'internal-server-error')
    })
  }

  async #serve(desk: PasskeyDesk, stanza: BinaryNode, request: BinaryNode, reply: Reply): Promise<void> {
    const { registration } = this.#options
    switch (request.tag) {
      case 'passkey_request_options':
        this.#expectType(stanza, 'get')
        return reply.result([this.#requestOptions(desk)])
      case 'ref':
        this.#expectType(stanza, 'get')
        this.#ref = this.#options.makeRef()
        return reply.result([node('ref', {}, Buffer.from(this.#ref))])
      case 'passkey_prologue': {
        this.#expect(stanza, 'demanded', 'prologue')
        const primary = await desk.prologue(registration, {
          credentialId: required(request, 'credential_id'),
          webauthnAssertion: required(request, 'webauthn_assertion'),
          prologuePayload: required(request, 'prologue_payload'),
          handoffProof: bytesOf(child(request, 'pairing_handoff_proof')),
          ref: this.#ref,
        })
        this.#step = 'prologue'
        reply.result()
        const { publicKey, nonce } = primary
        const identity = proto.PrimaryEphemeralIdentity.encode({ publicKey, nonce }).finish()
        return this.#options.notify(
          node('notification', { type: 'crsc_continuation' }, [
            node('primary_ephemeral_identity', {}, Buffer.from(identity)),
          ]),
        )
      }
      case 'companion_nonce': {
        this.#expect(stanza, 'prologue')
        await desk.companionNonce(registration, contentOf(request))
        this.#step = 'nonce'
        return reply.result()
      }
      default: {
        this.#expect(stanza, 'nonce')
        await desk.pairingRequest(registration, contentOf(request))
        this.#step = 'accepted'
        reply.result()
        this.#outcome?.resolve()
        this.#outcome = undefined
      }
    }
  }

  #requestOptions(desk: PasskeyDesk): BinaryNode {
    return node('passkey_request_options', {}, Buffer.from(desk.options(this.#options.registration)))
  }

  #expect(stanza: BinaryNode, ...steps: readonly Step[]) {
    this.#expectType(stanza, 'set')
    if (!steps.includes(this.#step)) throw new Refusal(409, `out of order: the state is ${this.#step}`)
  }

  #expectType(stanza: BinaryNode, type: string) {
    if (stanza.attrs.type !== type) throw new Refusal(400, `this must be an IQ of type ${type}`)
  }
}

function contentOf(request: BinaryNode): Buffer {
  const bytes = bytesOf(request)
  if (bytes === undefined || bytes.length === 0) throw new Refusal(400, `${request.tag} is empty`)
  return bytes
}

function required(request: BinaryNode, tag: string): Buffer {
  const bytes = bytesOf(child(request, tag))
  if (bytes === undefined || bytes.length === 0) throw new Refusal(400, `${tag} is missing`)
  return bytes
}
