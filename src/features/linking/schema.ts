import { Type } from 'typebox'
import { TimeOrNull } from '../common.ts'

export const OUTPUTS = ['html', 'json', 'png', 'terminal'] as const
export type Output = (typeof OUTPUTS)[number]

const OutputName = Type.Enum([...OUTPUTS], {
  description:
    'html: a page that shows each new code and walks through all steps; json: the code as text and image; png: the image; terminal: the code in block characters. Unless given, the Accept header decides, then html',
})

export const LoginBody = Type.Object({ output: Type.Optional(OutputName) }, { title: 'Login' })

export const LoginQuery = Type.Object({ output: Type.Optional(OutputName) })

const Seconds = Type.Integer({ minimum: 0, description: 'Seconds for which the code can be used' })

export const LoginQr = Type.Object(
  {
    qr_code: Type.String({ description: 'Image of the code: `data:image/png;base64,...`, 256 by 256' }),
    timeout: Seconds,
    code: Type.String({ description: 'The text in the image, for those who draw it themselves' }),
    expires_at: Type.String({ format: 'date-time' }),
  },
  { title: 'LoginQr' },
)

/** The number is checked by the kernel, which says what is wrong with it. */
export const LoginCodeBody = Type.Object(
  {
    phone: Type.String({
      minLength: 1,
      maxLength: 32,
      description: 'International form: 6 to 16 digits, no leading 0, one leading + allowed',
    }),
  },
  { title: 'LoginCodeRequest' },
)

export const LoginCode = Type.Object(
  {
    pair_code: Type.String({ description: '`XXXX-XXXX`: to be typed on the phone' }),
    timeout: Seconds,
    expires_at: Type.String({ format: 'date-time' }),
  },
  { title: 'LoginCode' },
)

const PasskeyStateName = Type.Enum(['waiting_for_assertion', 'waiting_for_phone', 'confirm', 'done', 'expired'])

export const Passkey = Type.Object(
  {
    state: PasskeyStateName,
    options: Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()], {
      description: 'The publicKey argument of navigator.credentials.get; bytes as unpadded base64url',
    }),
    snippet: Type.Union([Type.String(), Type.Null()], {
      description: 'To be run in the console of web.whatsapp.com; it prints the assertion',
    }),
    confirmation_code: Type.Union([Type.String(), Type.Null()], {
      description: '`XXXX-XXXX`: to be compared with the one on the phone',
    }),
    expires_at: TimeOrNull,
  },
  { title: 'PasskeyLogin' },
)

const Base64Url = Type.String({ pattern: '^[A-Za-z0-9_-]+$', maxLength: 16_384 })

export const PasskeyBody = Type.Object(
  {
    assertion: Type.Object(
      {
        id: Base64Url,
        rawId: Base64Url,
        type: Type.Literal('public-key'),
        response: Type.Object({
          clientDataJSON: Base64Url,
          authenticatorData: Base64Url,
          signature: Base64Url,
          userHandle: Type.Optional(Type.Union([Base64Url, Type.Null()])),
        }),
      },
      { description: 'The answer of navigator.credentials.get; bytes as unpadded base64url' },
    ),
  },
  { title: 'PasskeyAssertion' },
)

export const PasskeyMoved = Type.Object(
  {
    state: PasskeyStateName,
    confirmation_code: Type.Union([Type.String(), Type.Null()]),
  },
  { title: 'PasskeyProgress' },
)

export const LoginState = Type.Object(
  {
    state: Type.Enum([
      'idle',
      'connecting',
      'waiting_for_scan',
      'waiting_for_code',
      'passkey_required',
      'finishing',
      'linked',
      'failed',
    ]),
    qr_code: Type.Union([Type.String(), Type.Null()]),
    code: Type.Union([Type.String(), Type.Null()], { description: 'The text of the QR code' }),
    pair_code: Type.Union([Type.String(), Type.Null()]),
    timeout: Type.Union([Seconds, Type.Null()]),
    expires_at: TimeOrNull,
    jid: Type.Union([Type.String(), Type.Null()]),
    reason: Type.Union(
      [
        Type.Enum(['version_rejected', 'expired', 'network', 'rejected', 'passkey_required', 'too_many_devices']),
        Type.Null(),
      ],
      { description: 'Why linking failed' },
    ),
    message: Type.Union([Type.String(), Type.Null()]),
    passkey: Type.Union([Passkey, Type.Null()]),
  },
  { title: 'LoginState' },
)
