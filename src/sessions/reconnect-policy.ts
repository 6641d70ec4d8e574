import type { CloseCause } from '../engine/index.ts'
import { type Backoff, backoffDelay } from '../kernel/backoff.ts'

/** What follows the end of a linked device's connection. */
export type NextStep =
  | { readonly step: 'connect'; readonly delayMs: number; readonly refreshVersion: boolean }
  /** The account is gone from this device: keys are deleted and nothing is tried again. */
  | { readonly step: 'forget' }
  /** Nothing is tried again until somebody asks; the reason is shown as the device's status. */
  | { readonly step: 'stop'; readonly reason: string }

/** Tries with a refreshed version number before giving up on "client outdated". */
const OUTDATED_TRIES = 3
/** When a ban comes without its end. */
const BAN_WITHOUT_END_MS = 60 * 60_000

/**
 * Decides by cause. `failures` counts connections in a row that ended without having been open (0 = it was open).
 * A replaced connection is not taken back: two processes would take it from each other for ever.
 */
export const nextStep = (
  cause: CloseCause,
  failures: number,
  context: { readonly backoff: Backoff; readonly now: number; readonly random: () => number },
): NextStep => {
  const retry = (): NextStep => ({
    step: 'connect',
    delayMs: backoffDelay(context.backoff, failures + 1, context.random),
    refreshVersion: false,
  })
  switch (cause.kind) {
    case 'restart_required':
      return { step: 'connect', delayMs: 0, refreshVersion: false }
    case 'logged_out':
      return { step: 'forget' }
    case 'replaced':
      return { step: 'stop', reason: 'replaced' }
    case 'locked':
    case 'banned':
    case 'keys_damaged':
      return { step: 'stop', reason: cause.kind }
    case 'temporary_ban': {
      const until = cause.expiresAt ?? context.now + BAN_WITHOUT_END_MS
      return { step: 'connect', delayMs: Math.max(0, until - context.now), refreshVersion: false }
    }
    case 'outdated':
      if (failures > OUTDATED_TRIES) return { step: 'stop', reason: 'client_outdated' }
      return {
        step: 'connect',
        delayMs: backoffDelay(context.backoff, failures + 1, context.random),
        refreshVersion: true,
      }
    case 'local':
      return { step: 'stop', reason: '' }
    case 'codes_used_up':
    case 'pairing_error':
    case 'refused':
    case 'keepalive_timeout':
    case 'network':
      return retry()
  }
}
