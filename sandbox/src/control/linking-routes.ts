import { createHash } from 'node:crypto'
import { AuthenticatorError } from '../passkey/software-authenticator.ts'
import { type LinkRefusal, LinkRefused, type LinkResult } from '../phone/linking.ts'
import type { Person } from '../phone/people.ts'
import { parseLinkingQr } from '../phone/qr.ts'
import { ApiError } from './api-error.ts'
import { type Context, findPerson } from './context.ts'
import type { Route } from './router.ts'
import { OK, reply } from './views.ts'

const LINK = reply({
  phone: { type: 'string' },
  device_jid: { type: 'string', nullable: true, description: 'the new companion; null while a passkey is awaited' },
  status: { type: 'string', enum: ['linked', 'passkey_required'] },
})

const LINK_REFUSALS: readonly LinkRefusal[] = [
  'bad_qr',
  'bad_code',
  'expired',
  'wrong_code',
  'declined',
  'too_many_devices',
  'client_gone',
  'link_failed',
  'no_answer',
]

const REFUSALS = { 404: ['unknown_person'], 409: ['phone_offline'], 422: LINK_REFUSALS } as const

/** A phone number for somebody of whom only the name is known, or nothing at all: the same for the same name. */
export function derivePhoneNumber(name: string | undefined): string {
  if (name === undefined || name === '') return '15550199999'
  const digits = createHash('sha256').update(name).digest().readUInt32BE() % 10_000_000
  return `1556${String(digits).padStart(7, '0')}`
}

export function makeLinkingRoutes(context: Context): Route[] {
  const { people, service } = context
  return [
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/scan',
      tag: 'linking',
      summary: "Scan a QR code's text with the phone",
      description: 'Both forms: with `https://wa.me/settings/linked_devices#` in front, and without.',
      body: {
        type: 'object',
        properties: { qr: { type: 'string', minLength: 1, maxLength: 4096 } },
        required: ['qr'],
      },
      reply: LINK,
      refusals: REFUSALS,
      handle: ({ params, body }) => {
        const person = findPerson(context, params.phone!)
        return link(person, () => person.linking.scan(body.qr as string))
      },
    },
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/enter-code',
      tag: 'linking',
      summary: 'Type a link code into the phone',
      body: {
        type: 'object',
        properties: { code: { type: 'string', minLength: 1, maxLength: 64, examples: ['ABCD-1234'] } },
        required: ['code'],
      },
      reply: LINK,
      refusals: REFUSALS,
      handle: ({ params, body }) => {
        const person = findPerson(context, params.phone!)
        return link(person, () => person.linking.enterCode(body.code as string))
      },
    },
    {
      method: 'POST',
      path: '/admin/mock-phone/scan-qr',
      tag: 'linking',
      summary: 'Let some phone scan a QR code',
      description:
        "The body is the QR text. The phone is that of the number derived from the client's push name (the same name, " +
        'the same number), or of one fixed number when it has none; it is created when nobody has it.',
      body: 'text',
      reply: LINK,
      refusals: { 409: ['phone_offline'], 422: LINK_REFUSALS },
      handle: ({ text }) => {
        const qr = parseLinkingQr(text)
        const name = (qr && service.registrations.findByRef(qr.ref))?.pushName
        const phone = derivePhoneNumber(name)
        const person = people.byPhoneNumber(phone) ?? people.add({ name: name || 'Somebody', phone })
        return link(person, () => person.linking.scan(text))
      },
    },
    ...makePasskeyRoutes(context),
  ]
}

function makePasskeyRoutes(context: Context): Route[] {
  return [
    {
      method: 'GET',
      path: '/sandbox/people/{phone}/passkey',
      tag: 'passkey',
      summary: 'Show how far the newest linking by passkey is',
      reply: reply({
        demand: { type: 'string', enum: ['none', 'required', 'required_with_code'] },
        state: {
          type: 'string',
          enum: [
            'none',
            'assertion_required',
            'asserted',
            'confirmation_required',
            'approved',
            'linked',
            'rejected',
            'failed',
          ],
        },
        confirmation_code: { type: 'string', nullable: true, description: 'XXXX-XXXX, as the phone shows it' },
      }),
      refusals: { 404: ['unknown_person'] },
      handle: ({ params }) => {
        const { linking } = findPerson(context, params.phone!)
        const { passkey, passkeyState, desk } = linking
        return { demand: passkey, state: passkeyState, confirmation_code: desk?.confirmationCode ?? null }
      },
    },
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/passkey/assert',
      tag: 'passkey',
      summary: "Let the person's authenticator sign a WebAuthn challenge",
      description:
        'As `navigator.credentials.get` in a tab of web.whatsapp.com would. `options` are the request options that the ' +
        'client received (its `publicKey` argument); the reply is what to hand back to it.',
      body: {
        type: 'object',
        properties: {
          options: { type: 'object', properties: {}, additionalProperties: true },
          origin: { type: 'string', pattern: '^https://', description: 'another tab than that of WhatsApp Web' },
        },
        required: ['options'],
      },
      reply: reply({ assertion: { type: 'object', properties: {}, additionalProperties: true } }),
      refusals: { 404: ['unknown_person'], 422: ['not_signed'] },
      handle: ({ params, body }) => {
        const { authenticator } = findPerson(context, params.phone!)
        const given = body.options as { readonly publicKey?: unknown }
        try {
          return { assertion: authenticator.assert(given.publicKey ?? given, body.origin as string | undefined) }
        } catch (error) {
          if (error instanceof AuthenticatorError) throw new ApiError(422, 'not_signed', error.message)
          if (error instanceof TypeError) throw new ApiError(400, 'invalid_request', 'origin is no URL')
          throw error
        }
      },
    },
    ...(['approve', 'reject'] as const).map(
      (decision): Route => ({
        method: 'POST',
        path: `/sandbox/people/{phone}/passkey/${decision}`,
        tag: 'passkey',
        summary: decision === 'approve' ? 'The codes are equal: link' : 'Do not link',
        reply: OK,
        refusals: { 404: ['unknown_person'], 409: ['nothing_to_decide'] },
        handle: ({ params }) => {
          const { desk } = findPerson(context, params.phone!).linking
          const done = decision === 'approve' ? desk?.approve() : desk?.reject()
          if (done !== true) throw new ApiError(409, 'nothing_to_decide', 'no linking waits for this decision')
          return { ok: true }
        },
      }),
    ),
  ]
}

async function link(person: Person, attempt: () => Promise<LinkResult>) {
  try {
    const result = await attempt()
    const device_jid = result.status === 'linked' ? result.device.jid : null
    return { phone: person.account.pn, device_jid, status: result.status }
  } catch (error) {
    if (!(error instanceof LinkRefused)) throw error
    throw new ApiError(error.code === 'phone_offline' ? 409 : 422, error.code, error.message)
  }
}
