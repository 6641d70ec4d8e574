import { randomBytes } from 'node:crypto'
import { type Static, Type } from 'typebox'
import { ok, type Route, type RouteError, raw, route, STORAGE_AWAY } from '../../http/route.ts'
import { parsePhone } from '../../kernel/jid.ts'
import { rfc3339 } from '../common.ts'
import { outputFor } from './output.ts'
import { loginPage, pagePolicy } from './page.ts'
import {
  LoginBody,
  LoginCode,
  LoginCodeBody,
  LoginQr,
  LoginQuery,
  LoginState,
  Passkey,
  PasskeyBody,
  PasskeyMoved,
} from './schema.ts'
import { type LinkingParts, LinkingService } from './service.ts'

export type LinkingDeps = LinkingParts

const facts = { auth: 'jwt', tag: 'Device Operations (JWT Token)' } as const

const BUSY: RouteError = { code: 'conflict', when: 'another kind of linking is under way' }
const NO_PASSKEY: RouteError = { code: 'conflict', when: 'no linking is waiting for a passkey' }
const REFUSED: RouteError = { code: 'whatsapp_refused', when: 'WhatsApp refused it' }

/** While a linking is past its code, the page still has something to show. */
const PAST_THE_CODE: ReadonlySet<string> = new Set(['passkey_required', 'finishing'])

const EXAMPLE_QR: Static<typeof LoginQr> = {
  qr_code: 'data:image/png;base64,iVBORw0KGgo...',
  timeout: 60,
  code: 'https://wa.me/settings/linked_devices#2@...',
  expires_at: '2026-11-22T09:01:00.000Z',
}

export const linkingRoutes = (deps: LinkingDeps): Route[] => {
  const { sessions } = deps
  const service = new LinkingService(deps)

  return [
    route({
      ...facts,
      id: 'loginByQr',
      method: 'POST',
      path: '/devices/me/login',
      summary: 'Start QR pairing and return first code',
      description:
        'Joins a linking by QR that is under way. WhatsApp replaces the code every 20 s (the first after 60 s); the page and `GET /devices/me/login/state` show the current one. A device that is linked already answers 200 without data.',
      query: LoginQuery,
      body: LoginBody,
      bodyTypes: ['application/json', 'multipart/form-data', 'application/x-www-form-urlencoded'],
      bodyOptional: true,
      bodyExample: { output: 'json' },
      data: Type.Optional(LoginQr),
      produces: ['text/html', 'image/png', 'text/plain'],
      success: { example: EXAMPLE_QR },
      errors: [
        BUSY,
        {
          code: 'pairing_failed',
          when: 'no code came: WhatsApp is out of reach or refuses the client version; data.reason says which',
          status: 504,
        },
        { code: 'whatsapp_timeout', when: 'WhatsApp did not answer' },
        STORAGE_AWAY,
      ],
      handler: async ({ auth, body, query, request }) => {
        const { deviceId } = auth.device
        const output = outputFor(body.output ?? query.output, request.header('accept'))
        if (output === 'html') {
          try {
            await sessions.linkByQr(deviceId)
          } catch (error) {
            if (!PAST_THE_CODE.has(sessions.linkState(deviceId).state)) throw error
          }
          const nonce = randomBytes(16).toString('base64')
          const { origin, baseUrl } = request
          const page = loginPage({ origin, baseUrl, authorization: request.header('authorization') ?? '', nonce })
          const headers = { 'content-security-policy': pagePolicy(nonce, origin) }
          return raw('text/html; charset=utf-8', page, { headers })
        }
        const start = await sessions.linkByQr(deviceId)
        if (start.kind === 'already_linked') return ok('The device is linked already')
        const { code, expiresAt } = start.offer
        const headers = { 'x-expires-at': rfc3339(expiresAt) }
        if (output === 'png') return raw('image/png', await service.images.png(code), { headers })
        const timeout = service.secondsLeft(start.offer)
        if (output === 'terminal') {
          const text = `${await service.images.text(code)}\nScan this with WhatsApp within ${timeout} s.\n`
          return raw('text/plain; charset=utf-8', text, { headers })
        }
        return ok('Scan the code with WhatsApp', {
          qr_code: await service.images.dataUrl(code),
          timeout,
          code,
          expires_at: rfc3339(expiresAt),
        })
      },
    }),
    route({
      ...facts,
      id: 'getLoginState',
      method: 'GET',
      path: '/devices/me/login/state',
      summary: 'How the linking stands, with the code to show now',
      description: 'What the login page polls.',
      data: LoginState,
      errors: [],
      handler: async ({ auth }) => ok('Login state', await service.state(auth.device.deviceId)),
    }),
    route({
      ...facts,
      id: 'loginByCode',
      method: 'POST',
      path: '/devices/me/login-code',
      summary: 'Start pairing with a phone-typed code',
      description:
        'An earlier attempt to link this device ends. A device that is linked already answers 200 without data.',
      body: LoginCodeBody,
      bodyExample: { phone: '6281234567890' },
      data: Type.Optional(LoginCode),
      success: { example: { pair_code: 'ABCD-1234', timeout: 160, expires_at: '2026-11-22T09:02:40.000Z' } },
      errors: [
        { code: 'bad_request', when: 'the phone number is malformed' },
        BUSY,
        { code: 'pairing_failed', when: 'WhatsApp gave no code; data.reason says why', status: 502 },
        { code: 'whatsapp_timeout', when: 'WhatsApp did not answer', status: 502 },
        REFUSED,
        STORAGE_AWAY,
      ],
      handler: async ({ auth, body }) => {
        const phone = parsePhone(body.phone, 'phone')
        const start = await sessions.linkByCode(auth.device.deviceId, phone)
        if (start.kind === 'already_linked') return ok('The device is linked already')
        return ok('Type the code on the phone', {
          pair_code: start.offer.code,
          timeout: service.secondsLeft(start.offer),
          expires_at: rfc3339(start.offer.expiresAt),
        })
      },
    }),
    route({
      ...facts,
      id: 'getPasskeyLogin',
      method: 'GET',
      path: '/devices/me/login/passkey',
      summary: 'WebAuthn options, browser snippet, confirmation code when there is one',
      description:
        'WhatsApp demands a passkey of some accounts before it links a device. Run the snippet in the console of web.whatsapp.com and hand what it prints to the POST of the same path.',
      data: Passkey,
      errors: [NO_PASSKEY],
      handler: ({ auth }) => ok('Passkey login', service.showPasskey(sessions.passkeyStatus(auth.device.deviceId))),
    }),
    route({
      ...facts,
      id: 'submitPasskey',
      method: 'POST',
      path: '/devices/me/login/passkey',
      summary: "Hand over the authenticator's assertion",
      body: PasskeyBody,
      data: PasskeyMoved,
      errors: [
        { code: 'bad_request', when: 'the assertion is malformed or for another challenge' },
        NO_PASSKEY,
        REFUSED,
        { code: 'whatsapp_timeout', when: 'WhatsApp did not answer' },
        STORAGE_AWAY,
      ],
      handler: async ({ auth, body }) =>
        ok('Assertion handed over', await service.submitPasskey(auth.device.deviceId, body)),
    }),
    route({
      ...facts,
      id: 'confirmPasskey',
      method: 'POST',
      path: '/devices/me/login/passkey/confirm',
      summary: 'The code on the phone is the same: go on',
      data: PasskeyMoved,
      errors: [
        { code: 'conflict', when: 'no code is waiting to be confirmed' },
        REFUSED,
        { code: 'whatsapp_timeout', when: 'WhatsApp did not answer' },
        STORAGE_AWAY,
      ],
      handler: async ({ auth }) => ok('Confirmed', await service.confirmPasskey(auth.device.deviceId)),
    }),
  ]
}
