import type { Static } from 'typebox'
import type { PasskeyAssertion, PasskeyStatus } from '../../engine/index.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { LinkOffer, LinkState, Sessions } from '../../sessions/index.ts'
import { rfc3339, rfc3339OrNull } from '../common.ts'
import { passkeySnippet } from './passkey-snippet.ts'
import { QrImages } from './qr-image.ts'
import type { LoginState, Passkey, PasskeyBody } from './schema.ts'

export interface LinkingParts {
  readonly sessions: Pick<
    Sessions,
    'linkByQr' | 'linkByCode' | 'linkState' | 'passkeyStatus' | 'submitPasskey' | 'confirmPasskey'
  >
  readonly clock: Pick<Clock, 'now'>
}

const NOTHING: Omit<Static<typeof LoginState>, 'state'> = {
  qr_code: null,
  code: null,
  pair_code: null,
  timeout: null,
  expires_at: null,
  jid: null,
  reason: null,
  message: null,
  passkey: null,
}

/** How a linking stands, in the words of the API. */
export class LinkingService {
  readonly images = new QrImages()
  readonly #parts: LinkingParts

  constructor(parts: LinkingParts) {
    this.#parts = parts
  }

  /** Whole seconds left, never below 0. */
  secondsLeft(offer: LinkOffer): number {
    return Math.max(0, Math.round((offer.expiresAt - this.#parts.clock.now()) / 1_000))
  }

  async state(deviceId: string): Promise<Static<typeof LoginState>> {
    const link = this.#parts.sessions.linkState(deviceId)
    return { ...NOTHING, state: link.state, ...(await this.#details(link)) }
  }

  showPasskey(status: PasskeyStatus): Static<typeof Passkey> {
    const { state, options, confirmationCode, expiresAt } = status
    return {
      state,
      options: options === undefined ? null : { ...options },
      snippet: options === undefined ? null : passkeySnippet(options),
      confirmation_code: confirmationCode ?? null,
      expires_at: rfc3339OrNull(expiresAt),
    }
  }

  async submitPasskey(deviceId: string, { assertion }: Static<typeof PasskeyBody>) {
    const { response } = assertion
    const given: PasskeyAssertion = {
      ...assertion,
      response: { ...response, userHandle: response.userHandle ?? null },
    }
    return this.#moved(await this.#parts.sessions.submitPasskey(deviceId, given))
  }

  async confirmPasskey(deviceId: string) {
    return this.#moved(await this.#parts.sessions.confirmPasskey(deviceId))
  }

  #moved({ state, confirmationCode }: PasskeyStatus) {
    return { state, confirmation_code: confirmationCode ?? null }
  }

  async #details(link: LinkState): Promise<Partial<Static<typeof LoginState>>> {
    switch (link.state) {
      case 'waiting_for_scan':
        return {
          qr_code: await this.images.dataUrl(link.offer.code),
          code: link.offer.code,
          timeout: this.secondsLeft(link.offer),
          expires_at: rfc3339(link.offer.expiresAt),
        }
      case 'waiting_for_code':
        return {
          pair_code: link.offer.code,
          timeout: this.secondsLeft(link.offer),
          expires_at: rfc3339(link.offer.expiresAt),
        }
      case 'passkey_required':
        return { passkey: this.showPasskey(link.passkey) }
      case 'linked':
        return { jid: link.jid }
      case 'failed':
        return { reason: link.reason, message: link.message }
      default:
        return {}
    }
  }
}
