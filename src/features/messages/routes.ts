import { ok, type Route, route, STORAGE_AWAY } from '../../http/route.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { parseChat } from '../../kernel/jid.ts'
import type { Sessions } from '../../sessions/index.ts'
import { ChatParams, MOST_TEXT_BYTES, SentMessage, TextBody } from './schema.ts'

export interface MessageDeps {
  readonly sessions: Pick<Sessions, 'send'>
}

export const messageRoutes = (deps: MessageDeps): Route[] => [
  route({
    id: 'sendText',
    method: 'POST',
    path: '/chats/{chat_jid}/messages',
    auth: 'jwt',
    tag: 'Messaging',
    summary: 'Send plain text',
    description: 'The message is stored before it leaves, so an accepted one is never lost.',
    params: ChatParams,
    body: TextBody,
    bodyExample: { text: 'Hello from WhatsApp API!' },
    data: SentMessage,
    success: {
      example: {
        message_id: '3EB0C431C26A1916E07E',
        chat_jid: '6281234567890@s.whatsapp.net',
        status: 'server_ack',
        timestamp: 1_795_338_000,
      },
    },
    errors: [
      { code: 'bad_request', when: 'the phone number or JID is malformed' },
      { code: 'not_found', when: 'there is no message reply_to_message_id' },
      { code: 'not_linked', when: 'the device has no WhatsApp account' },
      { code: 'not_connected', when: 'the device is not connected' },
      { code: 'not_on_whatsapp', when: 'the number is not on WhatsApp' },
      { code: 'forbidden', when: 'WhatsApp does not allow it: not a member of the group, say' },
      { code: 'whatsapp_refused', when: 'WhatsApp refused it; its code is in data.whatsapp_code' },
      { code: 'whatsapp_timeout', when: 'WhatsApp did not answer' },
      STORAGE_AWAY,
    ],
    handler: async ({ auth, params, body }) => {
      const chat = parseChat(params.chat_jid, 'chat_jid')
      if (Buffer.byteLength(body.text) > MOST_TEXT_BYTES)
        throw new ParleyError('bad_request', `text: must have at most ${MOST_TEXT_BYTES} bytes`, { field: 'text' })
      const sent = await deps.sessions.send(auth.device.deviceId, {
        chat,
        content: { kind: 'text', text: body.text },
        ...(body.reply_to_message_id === undefined ? {} : { replyToMessageId: body.reply_to_message_id }),
        ...(body.typing_simulation === undefined ? {} : { typingSimulation: body.typing_simulation }),
        ...(body.presence_simulation === undefined ? {} : { presenceSimulation: body.presence_simulation }),
      })
      const message = sent.status === 'server_ack' ? 'Message sent' : 'Message accepted; it goes out as soon as it can'
      return ok(message, {
        message_id: sent.messageId,
        chat_jid: sent.chat,
        status: sent.status,
        timestamp: sent.timestamp,
      })
    },
  }),
]
