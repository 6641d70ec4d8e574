import type { Subscription } from './subscriptions.ts'

export type Secrets = Pick<Subscription, 'secret' | 'headers'> & { readonly url?: string }

/** A shorter one would black out ordinary words. */
const SHORTEST = 4
/** Of what is only part of a header or the URL. */
const SHORTEST_PART = 8

/** A foreign text without anything of a webhook's secret, header values and query: an endpoint may echo its request. */
export const withoutCredentials = (text: string, secrets: Secrets): string => {
  const found = credentialsOf(secrets)
  const cleaned = found.reduce((rest, one) => rest.replaceAll(one, '***'), text)
  return withoutBeginning(cleaned, found)
}

/** Longest first, so that none is cut in two by a shorter one. */
const credentialsOf = ({ secret, headers, url }: Secrets): readonly string[] => {
  const values = Object.values(headers)
  const wholes = [secret, ...values, ...values.flatMap(passwordOf)].filter(({ length }) => length >= SHORTEST)
  const parts = [...values.flatMap((value) => value.split(/[\s,;=]+/)), ...queryOf(url)].filter(
    ({ length }) => length >= SHORTEST_PART,
  )
  const all = [...wholes, ...parts]
  // also as they stand in JSON
  const forms = all.flatMap((one) => [one, JSON.stringify(one).slice(1, -1)])
  return [...new Set(forms)].toSorted((a, b) => b.length - a.length)
}

/** RFC 7617: what `Basic` hides is not hidden. */
const passwordOf = (value: string): readonly string[] => {
  const encoded = /^basic\s+([A-Za-z0-9+/]+=*)$/i.exec(value.trim())?.[1]
  if (encoded === undefined) return []
  const pair = Buffer.from(encoded, 'base64').toString('utf8')
  return [pair, pair.slice(pair.indexOf(':') + 1)]
}

/** Keys are often handed over in the query, and an answer may name the URL as it is or decoded. */
const queryOf = (url: string | undefined): readonly string[] => {
  if (url === undefined || !URL.canParse(url)) return []
  const { search, searchParams } = new URL(url)
  return [...searchParams.values(), ...search.slice(1).split(/[&=]/)]
}

/** An answer is kept to its first bytes: the last word may be the beginning of a credential. */
const withoutBeginning = (text: string, credentials: readonly string[]): string => {
  for (const one of credentials)
    for (let length = Math.min(one.length - 1, text.length); length >= SHORTEST; length--)
      if (text.endsWith(one.slice(0, length))) return `${text.slice(0, -length)}***`
  return text
}
