import { parseJid, phoneJid, withoutDevice } from '../../wire/jid.ts'
import { type BinaryNode, child, children, node, textOf } from '../../wire/node.ts'
import type { Account } from '../account.ts'
import { deviceListNode } from '../device-directory.ts'
import type { IqCall, IqHandler, IqHandlers } from './iq-router.ts'

/** What is known of one user, for one protocol; undefined leaves the protocol out of that user's answer. */
type Protocol = (
  account: Account | undefined,
  asked: { readonly byLid: boolean; readonly contact: BinaryNode['content'] },
  call: IqCall,
) => BinaryNode | undefined

const PROTOCOLS = new Map<string, Protocol>(
  Object.entries({
    // with what was asked for: the number of the account may be written otherwise
    contact: (account, { contact }) => node('contact', { type: account === undefined ? 'out' : 'in' }, contact),
    devices: (account, _asked, call) => {
      if (account === undefined) return undefined
      call.context.directory.noteReader(account, call.device.account)
      return deviceListNode(account)
    },
    // Without it Baileys cannot send to that user at all. Who asked by LID knows it already.
    lid: (account, asked) => (account === undefined || asked.byLid ? undefined : node('lid', { val: account.lidJid })),
    status: (account) =>
      account === undefined
        ? undefined
        : node('status', { t: Math.floor(account.createdAt / 1000) }, Buffer.from(account.about)),
    disappearing_mode: (account) =>
      account === undefined ? undefined : node('disappearing_mode', account.defaultTimer),
    business: (account) =>
      account?.businessName === undefined
        ? undefined
        : node('business', {}, [node('verified_name', { level: 'high' }, Buffer.from(account.businessName))]),
    username: () => undefined,
    bot: () => undefined,
    picture: () => undefined,
  } satisfies Record<string, Protocol>),
)

const usync: IqHandler = (call) => {
  const { request, error, result } = call
  const query = child(request, 'query')
  const list = child(request, 'list')
  if (query === undefined || list === undefined) return error(400, 'query or list is missing')
  const asked = children(query)
  const unknown = asked.find((protocol) => !PROTOCOLS.has(protocol.tag))
  if (unknown !== undefined) return error(501, `unknown usync protocol ${unknown.tag}`, 'unknown_stanza')
  if (asked.length === 0) return error(400, 'no protocol is asked for')
  if (asked.some(({ tag }) => tag === 'contact')) call.context.metrics.numberQueries += 1
  const users: BinaryNode[] = []
  for (const user of children(list, 'user')) {
    const found = identify(user, call)
    if (found === undefined) return error(400, 'a user has neither a jid nor a number')
    const { jid, account } = found
    const byLid = jid.endsWith('@lid')
    const answers = asked.map((protocol) =>
      PROTOCOLS.get(protocol.tag)!(account, { byLid, contact: child(user, 'contact')?.content }, call),
    )
    users.push(
      node(
        'user',
        { jid },
        answers.filter((answer) => answer !== undefined),
      ),
    )
  }
  const { sid, mode, index = '0', last = 'true', context } = request.attrs
  const results = asked.map((protocol) => node(protocol.tag, { version: protocol.attrs.version }))
  return result([
    node('usync', { sid, mode, index, last, context }, [node('result', {}, results), node('list', {}, users)]),
  ])
}

export const usyncHandlers: IqHandlers = { 'usync get usync': usync }

/** A user is named by its address or, to find out whether the number is known at all, by `+number`. */
function identify(user: BinaryNode, call: IqCall): { jid: string; account: Account | undefined } | undefined {
  const { accounts } = call.context
  if (user.attrs.jid !== undefined) {
    if (parseJid(user.attrs.jid) === undefined) return undefined
    return { jid: withoutDevice(user.attrs.jid), account: accounts.byJid(user.attrs.jid) }
  }
  const digits = textOf(child(user, 'contact'))?.replace(/\D/g, '')
  return digits ? { jid: phoneJid(digits), account: accounts.byPn(digits) } : undefined
}
