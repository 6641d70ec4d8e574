// What the routes share: finding whom a caller names.
import type { PhoneMessage } from '../phone/entries.ts'
import type { People, Person } from '../phone/people.ts'
import type { Phone } from '../phone/phone.ts'
import type { Account, Device } from '../service/account.ts'
import type { Service } from '../service/service.ts'
import { isGroup, parseJid } from '../wire/jid.ts'
import { ApiError } from './api-error.ts'

export interface Context {
  readonly service: Service
  readonly people: People
}

export const PHONE_PATTERN = '^\\+?[1-9]\\d{5,14}$'
export const phoneField = {
  type: 'string',
  pattern: PHONE_PATTERN,
  description: 'digits with country code',
  examples: ['15550100001'],
} as const

/** @throws ApiError 404 */
export function findPerson({ people }: Context, phone: string): Person {
  const person = people.byPhoneNumber(phone.replace(/^\+/, ''))
  if (person === undefined) throw new ApiError(404, 'unknown_person', `nobody has the number ${phone}`)
  return person
}

/** The account that a phone number or any address names. */
export function findAccount({ service }: Context, address: string): Account | undefined {
  return address.includes('@') ? service.accounts.byJid(address) : service.accounts.byPn(address.replace(/^\+/, ''))
}

/** The chat (LID jid or group) that a phone number, an address or a group names. @throws ApiError 400, 422 */
export function findChat(context: Context, to: string): string {
  if (isGroup(to)) {
    if (context.service.groups.byJid(to) === undefined)
      throw new ApiError(422, 'unknown_group', `there is no group ${to}`)
    return to
  }
  if (!to.includes('@') && !new RegExp(PHONE_PATTERN).test(to)) {
    throw new ApiError(400, 'invalid_request', `${to} is neither a phone number nor an address`)
  }
  const account = findAccount(context, to)
  if (account === undefined) throw new ApiError(422, 'unknown_recipient', `nobody has the number or address ${to}`)
  return account.lidJid
}

/** @throws ApiError 404 */
export function findCompanion({ service }: Context, jid: string): Device {
  const device = parseJid(jid)?.device === 0 ? undefined : service.accounts.deviceByJid(jid)
  if (device === undefined) throw new ApiError(404, 'unknown_device', `there is no companion ${jid}`)
  return device
}

/** A message on a phone by id, the newest where several have it. */
export function findMessage(phone: Phone, messageId: string): PhoneMessage | undefined {
  return phone.messages.findLast((message) => message.messageId === messageId)
}
