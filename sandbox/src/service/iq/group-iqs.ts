import { type BinaryNode, children, node } from '../../wire/node.ts'
import type { Account } from '../account.ts'
import { type Group, groupNode, jidOf, participantNode } from '../groups.ts'
import type { IqCall, IqHandler, IqHandlers } from './iq-router.ts'

const MAX_SUBJECT = 100
const MAX_MEMBERS = 1024

const create: IqHandler = ({ device, request, context, result, error }) => {
  const { subject } = request.attrs
  const named = children(request, 'participant').map(({ attrs }) => context.accounts.byJid(attrs.jid))
  if (!subject || subject.length > MAX_SUBJECT) return error(406, 'a subject has 1 to 100 characters')
  if (named.length >= MAX_MEMBERS) return error(419, 'too many members')
  if (named.includes(undefined)) return error(404, 'a participant has no account', 'refused')
  const others = new Set(named.filter((account): account is Account => account !== device.account))
  const group = context.groups.create(device.account, subject, [...others])
  result([groupNode(group)])
  context.groups.announce(group, device, node('create', { type: 'new', key: request.attrs.key }, [groupNode(group)]))
}

const query: IqHandler = (call) => {
  const group = memberGroup(call)
  if (group !== undefined) call.result([groupNode(group)])
}

const participating: IqHandler = ({ device, context, result }) =>
  result([node('groups', {}, context.groups.of(device.account).map(groupNode))])

const add: IqHandler = (call) =>
  change(call, 'add', (group, account) => {
    if (account === undefined) return 404
    if (group.members.has(account)) return 409
    call.context.groups.add(group, account)
    return undefined
  })

const remove: IqHandler = (call) =>
  change(call, 'remove', (group, account) => {
    if (account === undefined || !group.members.has(account)) return 404
    if (group.members.get(account) === 'superadmin') return 403
    call.context.groups.remove(group, account)
    return undefined
  })

const leave: IqHandler = ({ device, request, context, result, error }) => {
  const left: BinaryNode[] = []
  for (const { attrs } of children(request, 'group')) {
    const group = context.groups.byJid(attrs.id)
    if (group === undefined || !group.members.has(device.account)) {
      left.push(node('group', { id: attrs.id, error: 404 }))
      continue
    }
    context.groups.remove(group, device.account)
    left.push(node('group', { id: attrs.id }))
    const content = node('remove', {}, [participantNode(device.account)])
    context.groups.announce(group, device, content, [device.account])
  }
  if (left.length === 0) return error(400, 'no group to leave')
  return result([node('leave', {}, left)])
}

const setTimer: IqHandler = (call) => {
  const group = memberGroup(call)
  if (group === undefined) return
  const { device, request, context, result, error, decline } = call
  const { expiration } = request.attrs
  if (request.tag === 'ephemeral' && !/^[1-9]\d*$/.test(expiration ?? ''))
    return error(400, 'expiration must be seconds')
  const seconds = request.tag === 'ephemeral' ? Number(expiration) : 0
  if (!context.groups.setTimer(group, device, seconds)) return decline(403, 'forbidden')
  result()
}

export const groupHandlers: IqHandlers = {
  'w:g2 set create': create,
  'w:g2 get query': query,
  'w:g2 get participating': participating,
  'w:g2 set add': add,
  'w:g2 set remove': remove,
  'w:g2 set leave': leave,
  'w:g2 set ephemeral': setTimer,
  'w:g2 set not_ephemeral': setTimer,
}

/** The group a request is addressed to, if the caller is in it; otherwise the request is declined. */
function memberGroup({ device, stanza, context, decline }: IqCall): Group | undefined {
  const group = context.groups.byJid(stanza.attrs.to)
  if (group === undefined) decline(404, 'item-not-found')
  else if (!group.members.has(device.account)) decline(403, 'forbidden')
  else return group
  return undefined
}

/** Changes members one by one; each gets its own error code. */
function change(
  call: IqCall,
  action: 'add' | 'remove',
  apply: (group: Group, account: Account | undefined) => number | undefined,
) {
  const { device, request, context } = call
  const group = memberGroup(call)
  if (group === undefined) return
  if (group.members.get(device.account) === 'member') return call.decline(403, 'forbidden')
  const participants = children(request, 'participant')
  if (participants.length === 0) return call.error(400, 'no participant')
  const changed: Account[] = []
  const answers = participants.map(({ attrs }) => {
    const account = context.accounts.byJid(attrs.jid)
    const error = apply(group, account)
    if (error === undefined && account !== undefined) changed.push(account)
    return node('participant', { jid: attrs.jid, phone_number: account?.jid, error })
  })
  call.result([node(action, { from: jidOf(group) }, answers)])
  if (changed.length === 0) return
  const members = changed.map((account) => participantNode(account))
  context.groups.announce(group, device, node(action, {}, members), changed)
  if (action === 'add') welcome(call, group, changed)
}

/** Who is new to a group also gets the whole of it. */
function welcome({ device, context }: IqCall, group: Group, members: readonly Account[]) {
  const { account } = device
  for (const member of members) {
    for (const target of member.devices.values()) {
      const attrs = {
        from: jidOf(group),
        participant: account.lidJid,
        participant_pn: account.jid,
        addressing_mode: 'lid',
      }
      const t = Math.floor(context.clock() / 1000)
      context.mailroom.notify(target, 'w:gp2', { ...attrs, t }, [
        node('create', { reason: 'invite' }, [groupNode(group)]),
      ])
    }
  }
}
