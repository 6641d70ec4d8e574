import type { BinaryNode } from 'baileys/lib/WABinary/index.js'

export type { BinaryNode } from 'baileys/lib/WABinary/index.js'
export type Content = BinaryNode['content']

/** Builds a node. Attributes that are undefined are left out; numbers become decimal strings. */
export function node(
  tag: string,
  attrs: Readonly<Record<string, string | number | undefined>> = {},
  content?: Content,
): BinaryNode {
  const written: Record<string, string> = {}
  for (const [name, value] of Object.entries(attrs)) if (value !== undefined) written[name] = String(value)
  return content === undefined ? { tag, attrs: written } : { tag, attrs: written, content }
}

/** The child nodes, all of them or those of one tag; none when the content is text or bytes. */
export function children(parent: BinaryNode | undefined, tag?: string): readonly BinaryNode[] {
  const content = parent?.content
  if (!Array.isArray(content)) return []
  return tag === undefined ? content : content.filter((child) => child.tag === tag)
}

/** The first child node, or the first of one tag. */
export function child(parent: BinaryNode | undefined, tag?: string): BinaryNode | undefined {
  const content = parent?.content
  if (!Array.isArray(content)) return undefined
  return tag === undefined ? content[0] : content.find((candidate) => candidate.tag === tag)
}

/**
 * The content as bytes, undefined when there is none or when it is a list. Text that the encoder turned into a
 * dictionary token or packed digits arrives as a string and is encoded back.
 */
export function bytesOf(parent: BinaryNode | undefined): Buffer | undefined {
  const content = parent?.content
  if (content === undefined || Array.isArray(content)) return undefined
  return typeof content === 'string' ? Buffer.from(content) : Buffer.from(content)
}

/** The content as UTF-8 text. */
export function textOf(parent: BinaryNode | undefined): string | undefined {
  return bytesOf(parent)?.toString('utf8')
}

/** The content as a big-endian unsigned integer of 1 to 4 bytes. */
export function uintOf(parent: BinaryNode | undefined): number | undefined {
  const bytes = bytesOf(parent)
  if (bytes === undefined || bytes.length === 0 || bytes.length > 4) return undefined
  return bytes.readUIntBE(0, bytes.length)
}

/** A big-endian unsigned integer in `length` bytes. */
export function uintBytes(value: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  bytes.writeUIntBE(value, 0, length)
  return bytes
}

/** One line of XML-like text for logs: bytes are shown by their number only. */
export function describe(subject: BinaryNode): string {
  const attrs = Object.entries(subject.attrs)
    .map(([name, value]) => ` ${name}="${value}"`)
    .join('')
  const { content } = subject
  if (content === undefined) return `<${subject.tag}${attrs}/>`
  const inner = Array.isArray(content)
    ? content.map(describe).join('')
    : typeof content === 'string'
      ? content
      : `[${content.length} bytes]`
  return `<${subject.tag}${attrs}>${inner}</${subject.tag}>`
}
