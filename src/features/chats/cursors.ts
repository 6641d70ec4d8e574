import { ParleyError } from '../../kernel/errors.ts'
import type { ChatCursor, MessageCursor } from '../../storage/index.ts'

/** Where a page of chats ended; opaque to callers. */
export const writeChatCursor = ({ lastAt, id }: ChatCursor): string => `${lastAt}.${id}`

/** @throws bad_request */
export const readChatCursor = (given: string): ChatCursor => {
  const found = /^(\d{1,15})\.(\d{1,15})$/.exec(given)
  if (!found) throw new ParleyError('bad_request', 'before: must be `next` of the page before', { field: 'before' })
  return { lastAt: Number(found[1]), id: Number(found[2]) }
}

const SECONDS = /^\d{1,12}$/

/**
 * A message id, or a time in seconds where no message has that id; undefined when it is neither. `ask` answers
 * `unknown_cursor` for an id that no message of the chat has.
 */
export const readMessageCursor = async (
  given: string,
  ask: (cursor: MessageCursor) => Promise<unknown>,
): Promise<MessageCursor | undefined> => {
  const byId = { messageId: given }
  if ((await ask(byId)) !== 'unknown_cursor') return byId
  return SECONDS.test(given) ? { timestamp: Number(given) } : undefined
}
