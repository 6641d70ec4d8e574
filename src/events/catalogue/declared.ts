import type { EventCategory } from '../event.ts'

/**
 * Names of the contract whose cause does not exist yet. They can be subscribed to already, so that a receiver set up
 * today gets them the day their area joins; each moves to a file with a schema then.
 */
export const DECLARED: Readonly<Partial<Record<EventCategory, readonly string[]>>> = {
  Messages: ['message.fb_received', 'message.ai_rich_response'],
  Connection: [
    'connection.cat_refresh_error',
    'connection.manual_login_reconnect',
    'connection.qr_scanned_without_multidevice',
  ],
  Calls: [
    'call.offer',
    'call.accept',
    'call.terminate',
    'call.reject',
    'call.pre_accept',
    'call.offer_notice',
    'call.transport',
    'call.relay_latency',
    'call.unknown',
  ],
  Groups: ['group.join', 'group.leave', 'group.participant_update', 'group.info_update'],
  Newsletter: [
    'newsletter.join',
    'newsletter.leave',
    'newsletter.message_received',
    'newsletter.update',
    'newsletter.mute_change',
    'newsletter.live_update',
  ],
  Status: ['status.posted', 'status.viewed', 'status.deleted', 'status.mute', 'status.comment'],
  Contact: ['contact.update', 'blocklist.change'],
  'App State': ['appstate.sync_complete', 'appstate.patch_received', 'appstate.sync_error'],
  History: ['history.sync', 'history.sync_complete'],
  'Presence and Profile': [
    'identity.change',
    'picture.update',
    'user.about',
    'privacy.settings',
    'pushname.setting',
    'business.name_update',
  ],
  'Chat and Label State': ['label.edit', 'label.chat', 'label.message', 'settings.unarchive_chats'],
}
