import { Type } from 'typebox'
import { ParleyError } from '../../kernel/errors.ts'

/** Forms write `true` and `yes`; what is neither counts as not given, as the contract has it. */
const Flag = (description: string) =>
  Type.Optional(Type.Union([Type.Boolean(), Type.String({ maxLength: 16 })], { description }))

/** Where the file comes from, when it does not come with the form. */
const sourceFields = {
  url: Type.Optional(
    Type.String({ minLength: 1, maxLength: 2048, description: 'JSON only: where to fetch the file, http or https' }),
  ),
  base64: Type.Optional(Type.String({ minLength: 1, description: 'JSON only: the file itself, up to 20M' })),
}

const commonFields = {
  ...sourceFields,
  reply_to_message_id: Type.Optional(
    Type.String({ minLength: 1, maxLength: 128, description: 'The message of this chat to quote' }),
  ),
  typing_simulation: Flag('Shows "typing" or "recording" first; WHATSAPP_AUTO_TYPING_ENABLED unless given'),
  presence_simulation: Flag(
    'Goes online while sending; WHATSAPP_AUTO_PRESENCE_ENABLED unless given. False turns typing off too',
  ),
}

/** WhatsApp's own clients stop here. */
export const MOST_CAPTION_BYTES = 65_536

const Caption = Type.Optional(Type.String({ description: `At most ${MOST_CAPTION_BYTES} bytes of UTF-8` }))
const ViewOnce = Flag('Only `true` counts: the recipient can open it once')
const FileName = Type.Optional(
  Type.String({
    maxLength: 1024,
    description: 'The name shown, in any script; that of the uploaded file unless given',
  }),
)

export const ImageBody = Type.Object(
  { ...commonFields, caption: Caption, view_once: ViewOnce },
  { title: 'ImageMessage' },
)
export const VideoBody = Type.Object(
  {
    ...commonFields,
    caption: Caption,
    view_once: ViewOnce,
    gif_playback: Flag('Plays without sound, again and again'),
  },
  { title: 'VideoMessage' },
)
export const AudioBody = Type.Object(
  {
    ...commonFields,
    voice_note: Flag('`true`: converted to a voice note (OGG/Opus) and shown as one'),
    ptt: Flag('The same as voice_note'),
    view_once: ViewOnce,
  },
  { title: 'AudioMessage' },
)
export const StickerBody = Type.Object(
  {
    ...commonFields,
    pack_name: Type.Optional(Type.String({ maxLength: 128, description: 'Name of the pack it is shown under' })),
    pack_publisher: Type.Optional(Type.String({ maxLength: 128 })),
    emojis: Type.Optional(Type.String({ maxLength: 64, description: 'Emojis it stands for, comma-separated' })),
  },
  { title: 'StickerMessage' },
)
export const DocumentBody = Type.Object(
  { ...commonFields, filename: FileName, caption: Caption },
  { title: 'DocumentMessage' },
)

export type FlagValue = boolean | string | undefined

const YES = /^(true|1|yes|on)$/i
const NO = /^(false|0|no|off)$/i

export const readFlag = (value: FlagValue): boolean | undefined => {
  if (typeof value !== 'string') return value
  return YES.test(value) ? true : NO.test(value) ? false : undefined
}

/** Only a literal true counts. */
export const isTrue = (value: FlagValue): boolean => value === true || value === 'true'

/**
 * A file name as it is shown: any script, no path, nothing that does not print. Receivers save files under it.
 * Undefined when nothing is left.
 */
export const cleanFileName = (given: string | undefined): string | undefined => {
  const last = (given ?? '').split(/[/\\]/).at(-1)!
  // controls, and the marks that turn text around so that "gpj.exe" reads "exe.jpg"
  const clean = last.replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '').trim()
  if (clean === '' || /^\.+$/.test(clean)) return undefined
  return [...clean].slice(0, 255).join('')
}

/** Lines end as they do on phones, whatever a form made of them. @throws bad_request */
export const readCaption = (given: string | undefined): string | undefined => {
  if (given === undefined || given === '') return undefined
  if (Buffer.byteLength(given) > MOST_CAPTION_BYTES)
    throw new ParleyError('bad_request', `caption: must have at most ${MOST_CAPTION_BYTES} bytes`, { field: 'caption' })
  return given.replace(/\r\n?/g, '\n')
}
