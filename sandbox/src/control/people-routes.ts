import type { PasskeyDemand } from '../phone/linking.ts'
import type { Person } from '../phone/people.ts'
import { ApiError } from './api-error.ts'
import { type Context, findPerson, phoneField } from './context.ts'
import type { Route } from './router.ts'
import { listOf, OK, PERSON, reply, showPerson } from './views.ts'

const passkeyField = {
  type: 'string',
  enum: ['none', 'required', 'required_with_code'],
  description: 'what the phone demands of a new companion; the last one also wants the codes compared',
} as const
const nameField = { type: 'string', minLength: 1, maxLength: 100 } as const
const maxField = { type: 'integer', minimum: 0, maximum: 50, description: 'WhatsApp allows 4' } as const
const linksField = { type: 'boolean', description: 'false: the person declines every link' } as const

export function makePeopleRoutes(context: Context): Route[] {
  const { people, service } = context
  const configure = (person: Person, fields: Readonly<Record<string, unknown>>) => {
    const { name, passkey, max_companions, accepts_links } = fields
    if (typeof name === 'string') person.account.pushName = name
    if (passkey !== undefined) people.setPasskey(person, passkey as PasskeyDemand)
    if (typeof max_companions === 'number') person.account.maxCompanions = max_companions
    if (typeof accepts_links === 'boolean') person.linking.accepts = accepts_links
    return showPerson(person)
  }
  return [
    {
      method: 'POST',
      path: '/sandbox/people',
      tag: 'people',
      summary: 'Create a person with a phone',
      body: {
        type: 'object',
        properties: {
          name: nameField,
          phone: phoneField,
          passkey: passkeyField,
          max_companions: maxField,
          accepts_links: linksField,
        },
        required: ['name'],
      },
      status: 201,
      reply: PERSON,
      refusals: { 409: ['phone_taken'] },
      handle: ({ body }) => {
        const phone = (body.phone as string | undefined)?.replace(/^\+/, '')
        if (phone !== undefined && service.accounts.byPn(phone) !== undefined) {
          throw new ApiError(409, 'phone_taken', `somebody has the number ${phone} already`)
        }
        const person = people.add({ name: body.name as string, ...(phone !== undefined && { phone }) })
        return configure(person, body)
      },
    },
    {
      method: 'GET',
      path: '/sandbox/people',
      tag: 'people',
      summary: 'List everybody',
      reply: reply({ people: listOf(PERSON) }),
      handle: () => ({ people: people.list().map(showPerson) }),
    },
    {
      method: 'GET',
      path: '/sandbox/people/{phone}',
      tag: 'people',
      summary: 'Show a person',
      reply: PERSON,
      refusals: { 404: ['unknown_person'] },
      handle: ({ params }) => showPerson(findPerson(context, params.phone!)),
    },
    {
      method: 'PATCH',
      path: '/sandbox/people/{phone}',
      tag: 'people',
      summary: 'Change what a person is called and demands',
      body: {
        type: 'object',
        properties: { name: nameField, passkey: passkeyField, max_companions: maxField, accepts_links: linksField },
      },
      reply: PERSON,
      refusals: { 404: ['unknown_person'] },
      handle: ({ params, body }) => configure(findPerson(context, params.phone!), body),
    },
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/phone',
      tag: 'people',
      summary: "Give or take the phone's network",
      description: 'Without one, messages wait at the service and nothing is confirmed.',
      body: { type: 'object', properties: { online: { type: 'boolean' } }, required: ['online'] },
      reply: PERSON,
      refusals: { 404: ['unknown_person'] },
      handle: ({ params, body }) => {
        const person = findPerson(context, params.phone!)
        if (body.online === true) person.phone.goOnline()
        else person.phone.goOffline()
        return showPerson(person)
      },
    },
    {
      method: 'DELETE',
      path: '/sandbox/people/{phone}/devices/{device}',
      tag: 'people',
      summary: 'Log a companion out on the phone',
      reply: OK,
      refusals: { 404: ['unknown_person', 'unknown_device'] },
      handle: ({ params }) => {
        const { account } = findPerson(context, params.phone!)
        const device = account.devices.get(Number(params.device))
        if (device === undefined || device.id === 0) {
          throw new ApiError(404, 'unknown_device', `${account.pn} has no companion ${params.device}`)
        }
        service.removeDevice(device)
        return { ok: true }
      },
    },
  ]
}
