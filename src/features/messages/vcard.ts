import { ParleyError } from '../../kernel/errors.ts'

export interface Card {
  readonly name: string
  /** Digits. */
  readonly phone: string
  readonly organization?: string | undefined
}

/** RFC 2426, 5: what would end a value or begin another one is escaped; a line break never gets in. */
const escaped = (value: string): string => value.replaceAll('\\', '\\\\').replaceAll(';', '\\;').replaceAll(',', '\\,')

/** @throws bad_request for a value with a control character: with a line break it could add lines of its own */
const oneLine = (value: string, field: string): string => {
  // U+0085, U+2028 and U+2029 end a line for some readers
  if (/[\p{Cc}\u2028\u2029]/u.test(value))
    throw new ParleyError('bad_request', `${field}: must not hold line breaks or other control characters`, { field })
  return escaped(value.trim())
}

/** A vCard 3.0 as WhatsApp writes it: `waid` makes the number one to write to. `prefix` names the fields in refusals. */
export const buildVcard = ({ name, phone, organization }: Card, prefix = ''): string => {
  const shown = oneLine(name, `${prefix}name`)
  return [
    'BEGIN:VCARD',
    'VERSION:3.0',
    `N:;${shown};;;`,
    `FN:${shown}`,
    ...(organization ? [`ORG:${oneLine(organization, `${prefix}organization`)}`] : []),
    `TEL;type=CELL;type=VOICE;waid=${phone}:+${phone}`,
    'END:VCARD',
  ].join('\n')
}
