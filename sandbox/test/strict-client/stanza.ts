// Binary nodes and addresses, as a client sees them.
import { inflateSync } from 'node:zlib'
import * as tokens from 'baileys/lib/WABinary/constants.js'
import { decodeDecompressedBinaryNode } from 'baileys/lib/WABinary/decode.js'
import { encodeBinaryNode } from 'baileys/lib/WABinary/encode.js'
import type { BinaryNode } from 'baileys/lib/WABinary/index.js'

export type Stanza = BinaryNode
export type Attrs = Readonly<Record<string, string | number | undefined>>

/** The service, written as a JID pair without a user. */
export const SERVICE = '@s.whatsapp.net'

export function make(tag: string, attrs: Attrs = {}, content?: Stanza['content']): Stanza {
  const present = Object.entries(attrs).flatMap(([name, value]) => (value === undefined ? [] : [[name, `${value}`]]))
  return { tag, attrs: Object.fromEntries(present), ...(content !== undefined && { content }) }
}

export function partsOf(parent: Stanza | undefined, tag?: string): readonly Stanza[] {
  if (!Array.isArray(parent?.content)) return []
  return parent.content.filter((part) => tag === undefined || part.tag === tag)
}

export const part = (parent: Stanza | undefined, tag?: string): Stanza | undefined => partsOf(parent, tag)[0]

/** Binary content; text that the codec made of it is turned back. Empty when there is none. */
export function dataOf(parent: Stanza | undefined): Buffer {
  const content = parent?.content
  if (content === undefined || Array.isArray(content)) return Buffer.alloc(0)
  return Buffer.from(content as Uint8Array)
}

export const textOf = (parent: Stanza | undefined): string => dataOf(parent).toString()

export function numberBytes(value: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  bytes.writeUIntBE(value, 0, length)
  return bytes
}

export interface Address {
  readonly user: string
  readonly device: number
  readonly server: string
}

export function addressOf(jid: string | undefined): Address | undefined {
  const found = /^(\d+)(?::(\d+))?@(s\.whatsapp\.net|lid)$/.exec(jid ?? '')
  return found === null ? undefined : { user: found[1]!, device: Number(found[2] ?? 0), server: found[3]! }
}

/** The address without a device. */
export const personOf = (jid: string): string => jid.replace(/:\d+@/, '@')

export const isGroup = (jid: string | undefined): boolean => jid?.endsWith('@g.us') === true

export function decode(plain: Buffer): Stanza {
  const body = (plain[0]! & 2) === 0 ? plain.subarray(1) : inflateSync(plain.subarray(1))
  const position = { index: 0 }
  const stanza = decodeDecompressedBinaryNode(body, tokens, position)
  if (position.index !== body.length) throw new Error('bytes after the end of a stanza')
  return stanza
}

export const encode = (stanza: Stanza): Buffer => encodeBinaryNode(stanza)
