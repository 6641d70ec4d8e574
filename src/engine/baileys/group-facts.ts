import { areJidsSameUser, type BinaryNode, getBinaryNodeChild, getBinaryNodeChildren, type WASocket } from 'baileys'
import { timerOfGroup } from './chat-timer.ts'
import { orTimeout, toEngineError } from './engine-errors.ts'

const ask = async (sock: WASocket, group: string, type: 'get' | 'set', child: BinaryNode, what: string) => {
  try {
    return orTimeout(await sock.query({ tag: 'iq', attrs: { to: group, type, xmlns: 'w:g2' }, content: [child] }), what)
  } catch (error) {
    throw toEngineError(error, what)
  }
}

/** What we are in a group; undefined when not a member. */
export const groupRole = async (sock: WASocket, group: string): Promise<'member' | 'admin' | undefined> => {
  const child = { tag: 'query', attrs: { request: 'interactive' } }
  const answer = await ask(sock, group, 'get', child, 'asking about a group')
  const { me } = sock.authState.creds
  const own = getBinaryNodeChildren(getBinaryNodeChild(answer, 'group'), 'participant').find(
    ({ attrs }) =>
      areJidsSameUser(attrs.jid, me?.lid) ||
      areJidsSameUser(attrs.jid, me?.id) ||
      areJidsSameUser(attrs.phone_number, me?.id),
  )
  if (!own) return undefined
  return own.attrs.type === 'admin' || own.attrs.type === 'superadmin' ? 'admin' : 'member'
}

/** After how long its messages disappear: seconds, 0 = off. */
export const groupTimer = async (sock: WASocket, group: string): Promise<number> => {
  const child = { tag: 'query', attrs: { request: 'interactive' } }
  const answer = await ask(sock, group, 'get', child, 'asking about a group')
  return timerOfGroup(getBinaryNodeChild(answer, 'group'))
}

export const setGroupDisappearing = async (sock: WASocket, group: string, seconds: number): Promise<void> => {
  const child =
    seconds > 0 ? { tag: 'ephemeral', attrs: { expiration: String(seconds) } } : { tag: 'not_ephemeral', attrs: {} }
  await ask(sock, group, 'set', child, 'setting the timer of a group')
}
