import { ParleyError } from '../../kernel/errors.ts'

/** First and last byte, both included. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/**
 * The one range that a `Range` header asks for (RFC 9110, 14.2); undefined when it asks for none, for several, or in
 * another way: then the whole is sent, as it may be.
 * @throws range_not_satisfiable
 */
export const readRange = (header: string | undefined, size: number): ByteRange | undefined => {
  const [, first, last] = /^bytes=\s*(\d*)\s*-\s*(\d*)$/i.exec(header?.trim() ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined
  if (start > end || start >= size)
    throw new ParleyError('range_not_satisfiable', `Range: the file has ${size} bytes`, {
      field: 'Range',
      data: { size },
    })
  return { start, end }
}
