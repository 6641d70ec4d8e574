import { Type } from 'typebox'
import { event } from '../event.ts'
import { ownJid } from './fields.ts'

const category = 'History'
const count = (description: string) => Type.Integer({ minimum: 0, description })

export const offlineSyncPreview = event({
  name: 'offline.sync_preview',
  category,
  description:
    'The device is connected again, and WhatsApp says how much waits for it; it comes now, each with its own event.',
  payload: Type.Object({
    jid: ownJid,
    total: count('Everything that waits'),
    app_data_changes: count('Changes of chats made on other devices'),
    messages: count('Messages'),
    notifications: count('Notifications'),
    receipts: count('Receipts'),
  }),
  example: { jid: '6289876543210', total: 14, app_data_changes: 1, messages: 9, notifications: 0, receipts: 4 },
})

export const offlineSyncCompleted = event({
  name: 'offline.sync_completed',
  category,
  description: 'All that waited for the device while it was away has come; its messages and receipts are told before.',
  payload: Type.Object({ jid: ownJid, count: count('How much that was') }),
  example: { jid: '6289876543210', count: 14 },
})
