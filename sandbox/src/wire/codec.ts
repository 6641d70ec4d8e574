import { inflateSync } from 'node:zlib'
import * as constants from 'baileys/lib/WABinary/constants.js'
import { decodeDecompressedBinaryNode } from 'baileys/lib/WABinary/decode.js'
import { encodeBinaryNode } from 'baileys/lib/WABinary/encode.js'
import type { BinaryNode } from './node.ts'

const FLAG_DEFLATED = 2

/** No stanza of a real client comes near this; a zip bomb would. */
const MAX_STANZA_BYTES = 16 * 1024 * 1024

/** The plain text of a transport frame: a flag byte (0: not deflated), then the binary node. */
export function encodeStanza(stanza: BinaryNode): Buffer {
  return encodeBinaryNode(stanza)
}

/** The reverse of `encodeStanza`, inflating where the flag says so. Throws on anything malformed. */
export function decodeStanza(plain: Buffer): BinaryNode {
  if (plain.length < 2) throw new Error('an empty stanza')
  const body = plain.subarray(1)
  const deflated = (plain[0]! & FLAG_DEFLATED) !== 0
  const bytes = deflated ? inflateSync(body, { maxOutputLength: MAX_STANZA_BYTES }) : body
  const position = { index: 0 }
  const stanza = decodeDecompressedBinaryNode(bytes, constants, position)
  if (position.index !== bytes.length) throw new Error(`${bytes.length - position.index} bytes after the stanza`)
  return stanza
}
