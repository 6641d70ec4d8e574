/** Who made a sticker, as WhatsApp shows it. */
export interface StickerPack {
  readonly name: string
  readonly publisher: string
  readonly emojis: readonly string[]
}

/** `VP8X` flags: https://developers.google.com/speed/webp/docs/riff_container */
const HAS_EXIF = 0x08
const HAS_ALPHA = 0x10
/** The tag in which WhatsApp keeps the pack. */
const PACK_TAG = 0x5741
const TYPE_UNDEFINED = 7

/** An EXIF block with one entry: the pack as JSON. */
export const packExif = (pack: StickerPack, id: string): Buffer => {
  const json = Buffer.from(
    JSON.stringify({
      'sticker-pack-id': id,
      'sticker-pack-name': pack.name,
      'sticker-pack-publisher': pack.publisher,
      emojis: pack.emojis,
    }),
  )
  const head = Buffer.alloc(26)
  head.write('II*\0', 0, 'latin1')
  head.writeUInt32LE(8, 4) // where the directory begins
  head.writeUInt16LE(1, 8) // its only entry
  head.writeUInt16LE(PACK_TAG, 10)
  head.writeUInt16LE(TYPE_UNDEFINED, 12)
  head.writeUInt32LE(json.length, 14)
  head.writeUInt32LE(26, 18) // where the JSON begins; after it no further directory
  return Buffer.concat([head, json])
}

interface Chunk {
  readonly name: string
  readonly data: Buffer
}

export const isAnimatedWebp = (webp: Buffer): boolean => chunksOf(webp).some(({ name }) => name === 'ANIM')

/** The same picture with that EXIF block in place of any other. @throws RangeError for what is no WebP */
export const withExif = (webp: Buffer, exif: Buffer): Buffer => {
  const chunks = chunksOf(webp).filter(({ name }) => name !== 'EXIF')
  const extended = chunks[0]?.name === 'VP8X' ? Buffer.from(chunks.shift()!.data) : headerOf(chunks[0]!)
  extended[0] = extended[0]! | HAS_EXIF
  return join([{ name: 'VP8X', data: extended }, ...chunks, { name: 'EXIF', data: exif }])
}

const chunksOf = (webp: Buffer): Chunk[] => {
  if (webp.toString('latin1', 0, 4) !== 'RIFF' || webp.toString('latin1', 8, 12) !== 'WEBP')
    throw new RangeError('this is no WebP file')
  const chunks: Chunk[] = []
  for (let at = 12; at + 8 <= webp.length; ) {
    const size = webp.readUInt32LE(at + 4)
    chunks.push({ name: webp.toString('latin1', at, at + 4), data: webp.subarray(at + 8, at + 8 + size) })
    at += 8 + size + (size % 2)
  }
  if (chunks.length === 0) throw new RangeError('this WebP file is empty')
  return chunks
}

/** The header that a simple file goes without: its size and whether it lets something shine through. */
const headerOf = ({ name, data }: Chunk): Buffer => {
  const header = Buffer.alloc(10)
  let width: number
  let height: number
  if (name === 'VP8L') {
    const bits = data.readUInt32LE(1)
    width = bits & 0x3fff
    height = (bits >>> 14) & 0x3fff
    if ((bits >>> 28) & 1) header[0] = HAS_ALPHA
  } else if (name === 'VP8 ') {
    width = (data.readUInt16LE(6) & 0x3fff) - 1
    height = (data.readUInt16LE(8) & 0x3fff) - 1
  } else throw new RangeError(`a WebP file does not begin with ${name}`)
  header.writeUIntLE(width, 4, 3)
  header.writeUIntLE(height, 7, 3)
  return header
}

const join = (chunks: readonly Chunk[]): Buffer => {
  const body = Buffer.concat(
    chunks.flatMap(({ name, data }) => {
      const head = Buffer.alloc(8)
      head.write(name, 0, 'latin1')
      head.writeUInt32LE(data.length, 4)
      return data.length % 2 === 0 ? [head, data] : [head, data, Buffer.alloc(1)]
    }),
  )
  const head = Buffer.alloc(12)
  head.write('RIFF', 0, 'latin1')
  head.writeUInt32LE(body.length + 4, 4)
  head.write('WEBP', 8, 'latin1')
  return Buffer.concat([head, body])
}
