/** What a web page says about itself for those who link to it. */
export interface PageFacts {
  readonly title: string | undefined
  readonly description: string | undefined
  readonly image: string | undefined
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' }
const MOST_TITLE = 300
const MOST_DESCRIPTION = 1000

/** Reads the head of a page: Open Graph first, then what every page has. */
export const readPage = (html: string, base: URL): PageFacts => {
  const head = html.slice(0, html.search(/<\/head\s*>|<body[\s>]/i) >>> 0)
  const meta = new Map<string, string>()
  for (const [tag] of head.matchAll(/<meta\s[^>]{1,4000}>/gi)) {
    const name = attributeOf(tag, 'property') ?? attributeOf(tag, 'name')
    const content = attributeOf(tag, 'content')
    if (name && content && !meta.has(name.toLowerCase())) meta.set(name.toLowerCase(), content)
  }
  const title = meta.get('og:title') ?? meta.get('twitter:title') ?? /<title[^>]*>([^<]{1,2000})/i.exec(head)?.[1]
  const description = meta.get('og:description') ?? meta.get('description')
  const image = meta.get('og:image:secure_url') ?? meta.get('og:image')
  return {
    title: textOf(title, MOST_TITLE),
    description: textOf(description, MOST_DESCRIPTION),
    image: image && URL.canParse(decode(image), base.href) ? new URL(decode(image), base).href : undefined,
  }
}

const attributeOf = (tag: string, name: string): string | undefined => {
  const found = new RegExp(`\\s${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s"'>]+))`, 'i').exec(tag)
  return found?.[1] ?? found?.[2] ?? found?.[3]
}

const textOf = (given: string | undefined, most: number): string | undefined => {
  const text = decode(given ?? '')
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim()
  return text === '' ? undefined : [...text].slice(0, most).join('')
}

const decode = (text: string): string =>
  text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,6}));/gi, (whole, decimal, hex, name) => {
    if (name) return ENTITIES[String(name).toLowerCase()] ?? whole
    const code = decimal ? Number(decimal) : Number.parseInt(hex, 16)
    return code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? String.fromCodePoint(code) : ''
  })
