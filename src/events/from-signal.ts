import type { CloseCause, EngineSignal } from '../engine/index.ts'
import { bareJid } from '../kernel/jid.ts'
import {
  connectionClientOutdated,
  connectionConnected,
  connectionConnectFailure,
  connectionDisconnected,
  connectionKeepaliveRestored,
  connectionKeepaliveTimeout,
  connectionLoggedOut,
  connectionPairError,
  connectionPairSuccess,
  connectionPasskeyRequired,
  connectionQr,
  connectionReconnecting,
  connectionStreamError,
  connectionStreamReplaced,
  connectionTemporaryBan,
} from './catalogue/connection.ts'
import { NEVER } from './catalogue/fields.ts'
import { offlineSyncCompleted, offlineSyncPreview } from './catalogue/history.ts'
import { mediaRetry } from './catalogue/media.ts'
import { chatPresence, presenceUpdate } from './catalogue/presence.ts'
import { draft, type EventDraft } from './draft.ts'
import { chatFieldsOf, namesOf, type SignalIdentity } from './identity.ts'
import { ownDigits } from './own-account.ts'

/** What the supervisor knows beside the signal. */
export interface ConnectionFacts {
  /** The linked account; undefined before linking. */
  readonly account:
    | {
        readonly jid: string
        readonly lid: string | undefined
        readonly pushName: string | undefined
        readonly platform: string | undefined
        readonly businessName: string | undefined
      }
    | undefined
  /** True when this connection had been open (logged in) before the signal. */
  readonly wasOpen: boolean
  /** For `connecting`: 0 = the first connection, 1.. = the attempt to come back. */
  readonly attempt: number
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** In our words; the codes are WhatsApp's. */
const BAN_REASONS: Readonly<Record<number, string>> = {
  101: 'messages to too many people who do not have this number in their address book',
  102: 'blocked by too many people',
  103: 'too many groups created with people who do not have this number in their address book',
  104: 'the same message to too many people',
  106: 'too many messages to broadcast lists',
}

/** The events of a signal, in order; most signals give one or none. `who`: whom it names (identity.ts). */
export const eventsOfSignal = (
  signal: EngineSignal,
  facts: ConnectionFacts,
  who: SignalIdentity,
): readonly EventDraft[] => {
  const jid = ownDigits(facts.account)
  const at = { occurredAt: facts.now }
  switch (signal.type) {
    case 'connecting':
      return facts.account && facts.attempt > 0
        ? [draft(connectionReconnecting, { jid, attempt: facts.attempt }, at)]
        : []
    case 'qr':
      return [draft(connectionQr, { jid, codes: [signal.code], expires_at: iso(signal.expiresAt) }, at)]
    case 'passkey_required':
      return [
        draft(connectionPasskeyRequired, { options: { ...signal.options }, expires_at: iso(signal.expiresAt) }, at),
      ]
    case 'paired':
      return [
        draft(
          connectionPairSuccess,
          {
            jid: ownDigits({ jid: signal.jid }),
            pair_jid: signal.jid,
            pair_lid: signal.lid ?? '',
            business_name: signal.businessName ?? '',
            platform: signal.platform ?? '',
          },
          at,
        ),
      ]
    case 'open':
      return [
        draft(
          connectionConnected,
          {
            jid,
            phone_number: jid,
            lid: facts.account?.lid === undefined ? null : bareJid(facts.account.lid),
            push_name: facts.account?.pushName ?? '',
            platform: facts.account?.platform ?? '',
            business_name: facts.account?.businessName ?? '',
            is_logged_in: true,
            is_connected: true,
          },
          at,
        ),
      ]
    case 'keepalive_missed':
      return [
        draft(
          connectionKeepaliveTimeout,
          { jid, error_count: signal.count, last_success: iso(signal.lastHeardAt) },
          at,
        ),
      ]
    case 'keepalive_restored':
      return [draft(connectionKeepaliveRestored, { jid }, at)]
    case 'closed':
      return eventsOfClose(signal.cause, jid, facts)
    case 'media_retry':
      return [
        draft(
          mediaRetry,
          {
            jid,
            message_id: signal.messageId,
            ...chatFieldsOf(signal.chat, who.chat.party),
            conversation_id: who.chat.conversationId ?? null,
            ...senderFieldsOf(signal.sender ?? signal.chat, who.person),
            timestamp: iso(facts.now),
            from_me: signal.fromMe,
            ...(signal.error === undefined ? {} : { error: { code: signal.error } }),
          },
          at,
        ),
      ]
    case 'presence':
      return [
        draft(
          presenceUpdate,
          {
            jid,
            from: signal.jid,
            from_pn: signal.pn ?? who.person?.pn ?? null,
            from_lid: signal.lid ?? who.person?.lid ?? null,
            contact_id: who.person?.contactId ?? null,
            conversation_id: who.chat.conversationId ?? null,
            unavailable: !signal.available,
            last_seen: signal.lastSeenAt === undefined ? NEVER : iso(signal.lastSeenAt),
          },
          at,
        ),
      ]
    case 'chat_presence':
      return [
        draft(
          chatPresence,
          {
            jid,
            ...chatFieldsOf(signal.chat, signal.isGroup ? undefined : { ...who.chat.party, ...definedNames(signal) }),
            conversation_id: who.chat.conversationId ?? null,
            ...senderFieldsOf(signal.sender, { ...who.person, ...definedNames(signal) }),
            is_from_me: false,
            state: signal.state === 'paused' ? 'paused' : 'composing',
            media: signal.state === 'recording' ? 'audio' : '',
          },
          at,
        ),
      ]
    case 'offline_preview': {
      const { total, appDataChanges: app_data_changes, messages, notifications, receipts } = signal
      return [draft(offlineSyncPreview, { jid, total, app_data_changes, messages, notifications, receipts }, at)]
    }
    case 'caught_up': {
      const { count } = signal
      return count > 0 ? [draft(offlineSyncCompleted, { jid, count }, at)] : []
    }
    case 'pairing_code': // answered by the call that asked for it
    case 'passkey_state':
    case 'push_name':
    case 'late_ack':
      return []
  }
}

const eventsOfClose = (cause: CloseCause, jid: string, facts: ConnectionFacts): readonly EventDraft[] => {
  const at = { occurredAt: facts.now }
  const disconnected = (reason: string) => draft(connectionDisconnected, { jid, reason }, at)
  // Only an open connection can be lost; a failed attempt to open one is told by the next `connection.reconnecting`.
  const lost = (reason: string) => (facts.wasOpen ? [disconnected(reason)] : [])
  const refused = (code: number, message: string) => [
    draft(connectionConnectFailure, { jid, reason: String(code), message }, at),
    disconnected(`connect_failure: ${code}`),
  ]
  switch (cause.kind) {
    case 'logged_out':
      return [draft(connectionLoggedOut, { jid }, at)]
    case 'replaced':
      return [
        draft(
          connectionStreamReplaced,
          { jid, warning: 'another client uses the credentials of this device; it is not reconnected by itself' },
          at,
        ),
        disconnected('replaced'),
      ]
    case 'temporary_ban':
      return [
        draft(
          connectionTemporaryBan,
          {
            jid,
            code: cause.code,
            reason: BAN_REASONS[cause.code] ?? `unknown reason ${cause.code}`,
            expires: cause.expiresAt === undefined ? null : iso(cause.expiresAt),
          },
          at,
        ),
        disconnected('temporary_ban'),
      ]
    case 'locked':
      return refused(403, 'the account is locked')
    case 'banned':
      return refused(406, 'the account is banned')
    case 'keys_damaged':
      return [
        draft(connectionConnectFailure, { jid, reason: 'keys_damaged', message: cause.message }, at),
        disconnected('keys_damaged'),
      ]
    case 'outdated':
      return [draft(connectionClientOutdated, { jid }, at), disconnected('connect_failure: 405')]
    case 'refused':
      return facts.wasOpen
        ? [
            draft(connectionStreamError, { jid, code: String(cause.code), message: cause.message }, at),
            disconnected(`stream_error: ${cause.code}`),
          ]
        : refused(cause.code, cause.message)
    case 'pairing_error':
      return [
        draft(
          connectionPairError,
          { jid, pair_jid: '', pair_lid: '', business_name: '', platform: '', error: cause.message },
          at,
        ),
      ]
    case 'restart_required': // 515: the service asks for a new connection, normally right after pairing
      return lost('restart_required')
    case 'keepalive_timeout':
      return lost('keepalive_timeout')
    case 'network':
      return lost(`network: ${cause.message}`)
    case 'codes_used_up': // nobody scanned: nothing happened to the device
    case 'local': // we closed it ourselves
      return []
  }
}

type Names = { readonly pn?: string | undefined; readonly lid?: string | undefined }

const definedNames = ({ pn, lid }: Names) => ({ ...(pn !== undefined && { pn }), ...(lid !== undefined && { lid }) })

const senderFieldsOf = (sender: string, party: (Names & { readonly contactId?: string }) | undefined) => {
  const { pn, lid } = namesOf(sender, party)
  return { sender, sender_pn: pn, sender_lid: lid, contact_id: party?.contactId ?? null }
}

const iso = (ms: number): string => new Date(ms).toISOString()
