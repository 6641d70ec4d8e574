import type { Output } from './schema.ts'

const BY_TYPE: ReadonlyMap<string, Output> = new Map([
  ['text/html', 'html'],
  ['application/json', 'json'],
  ['image/png', 'png'],
  ['text/plain', 'terminal'],
])

/** What was asked for by name; else the first type in `Accept` that we have (RFC 9110 section 12.5.1); else the page. */
export const outputFor = (named: Output | undefined, accept: string | undefined): Output => {
  if (named !== undefined) return named
  const wanted = (accept ?? '')
    .split(',')
    .map((part, place) => {
      const [type = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase())
      const quality = parameters.find((text) => text.startsWith('q='))?.slice(2)
      return { type, quality: quality === undefined ? 1 : Number(quality) || 0, place }
    })
    .filter(({ type, quality }) => quality > 0 && BY_TYPE.has(type))
    .toSorted((a, b) => b.quality - a.quality || a.place - b.place)
  return BY_TYPE.get(wanted[0]?.type ?? '') ?? 'html'
}
