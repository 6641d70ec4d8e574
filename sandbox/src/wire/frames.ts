const ROUTING_MAGIC = Buffer.from('ED\0\x01', 'latin1')

/** "WA", protocol version 6, dictionary version 3: what a client writes first and what both ends mix into the hash. */
export const WA_HEADER = Buffer.from([0x57, 0x41, 6, 3])

const EMPTY = Buffer.alloc(0)
const MAX_FRAME_BYTES = 0xff_ff_ff

/**
 * Cuts a client's byte stream into frames: an optional edge-routing intro, the header, then frames of a 3-byte
 * big-endian length and a body. WebSocket message boundaries mean nothing.
 */
export class FrameReader {
  #pending: Buffer = EMPTY
  #sawHeader = false

  /** Returns the frames completed by `chunk`. Throws when the stream does not begin as it must. */
  push(chunk: Buffer): readonly Buffer[] {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    if (!this.#sawHeader && !this.#readIntro()) return []
    const frames: Buffer[] = []
    while (this.#pending.length >= 3) {
      const end = 3 + this.#pending.readUIntBE(0, 3)
      if (this.#pending.length < end) break
      frames.push(this.#pending.subarray(3, end))
      this.#pending = this.#pending.subarray(end)
    }
    return frames
  }

  #readIntro(): boolean {
    if (startsLike(this.#pending, ROUTING_MAGIC)) {
      if (this.#pending.length < 7) return false
      const end = 7 + this.#pending.readUIntBE(4, 3)
      if (this.#pending.length < end) return false
      this.#pending = this.#pending.subarray(end)
    }
    if (!startsLike(this.#pending, WA_HEADER)) throw new Error('the stream does not begin with WA 6 3')
    if (this.#pending.length < WA_HEADER.length) return false
    this.#pending = this.#pending.subarray(WA_HEADER.length)
    this.#sawHeader = true
    return true
  }
}

/** Whether the bytes agree as far as both go. */
function startsLike(bytes: Buffer, magic: Buffer): boolean {
  const length = Math.min(bytes.length, magic.length)
  return bytes.subarray(0, length).equals(magic.subarray(0, length))
}

/** Puts the length before a body. */
export function frame(body: Uint8Array): Buffer {
  if (body.length > MAX_FRAME_BYTES) throw new RangeError(`a frame of ${body.length} bytes is too long`)
  const framed = Buffer.allocUnsafe(3 + body.length)
  framed.writeUIntBE(body.length, 0, 3)
  framed.set(body, 3)
  return framed
}
