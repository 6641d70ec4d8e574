import { messageOf } from '../../kernel/errors.ts'
import type { CloseCause } from '../index.ts'

interface BoomLike {
  readonly output?: { readonly statusCode?: number }
  readonly data?: unknown
  readonly message?: string
}

/** Baileys' disconnect error (a Boom with a status code) in the engine's words. The only place that reads them. */
export const toCloseCause = (error: unknown, nowMs: number): CloseCause => {
  if (error === undefined) return { kind: 'local', message: 'closed' }
  const boom = error as BoomLike
  const code = boom.output?.statusCode
  const message = messageOf(error)
  switch (code) {
    case 515:
      return { kind: 'restart_required' }
    case 401:
      return { kind: 'logged_out' }
    case 440:
      return { kind: 'replaced' }
    case 402: {
      const attributes = (boom.data ?? {}) as { code?: string; expire?: string }
      const seconds = Number(attributes.expire)
      // `expire` is the ban's remaining length in seconds
      const expiresAt = Number.isFinite(seconds) && seconds > 0 ? nowMs + seconds * 1000 : undefined
      return { kind: 'temporary_ban', code: Number(attributes.code) || 402, expiresAt }
    }
    case 403:
      return { kind: 'locked' }
    case 405:
      return { kind: 'outdated' }
    case 406:
      return { kind: 'banned' }
    case 408:
      if (message.includes('QR refs')) return { kind: 'codes_used_up' }
      if (message.includes('Connection was lost')) return { kind: 'keepalive_timeout' }
      return { kind: 'network', message }
    case 428:
    case undefined:
      return isPairingFailure(message) ? { kind: 'pairing_error', message } : { kind: 'network', message }
    default:
      if (isPairingFailure(message)) return { kind: 'pairing_error', message }
      if (message.startsWith('WebSocket Error')) return { kind: 'network', message }
      return { kind: 'refused', code, message }
  }
}

/** Messages of configureSuccessfulPairing when what the phone sent does not hold. */
const isPairingFailure = (message: string): boolean =>
  /Invalid account signature|Failed to verify account signature|Missing device-identity/.test(message)
