// A session record of libsignal: the state in use (field 1), then older ones (field 2), each an embedded message.

/** Protobuf keys: field number and wire type 2. */
const CURRENT = 0x0a
const OLDER = 0x12

/** The states of a record, the one in use first. */
export function splitRecord(record: Uint8Array): Buffer[] {
  const bytes = Buffer.from(record)
  const states: Buffer[] = []
  let position = 0
  while (position < bytes.length) {
    const current = bytes[position] === CURRENT
    if (!current && bytes[position] !== OLDER) throw new RangeError(`no session record: ${bytes[position]}`)
    let length = 0
    for (let factor = 1; ; factor *= 128) {
      position += 1
      length += (bytes.readUInt8(position) & 0x7f) * factor
      if (bytes.readUInt8(position) < 0x80) break
    }
    const state = bytes.subarray(position + 1, position + 1 + length)
    if (current) states.unshift(state)
    else states.push(state)
    position += 1 + length
  }
  return states
}

export function joinRecord(states: readonly Buffer[]): Buffer {
  return Buffer.concat(
    states.flatMap((state, position) => [Buffer.of(position === 0 ? CURRENT : OLDER), lengthOf(state), state]),
  )
}

function lengthOf(state: Buffer): Buffer {
  const digits: number[] = []
  let left = state.length
  while (left >= 128) {
    digits.push((left % 128) + 128)
    left = Math.floor(left / 128)
  }
  return Buffer.from([...digits, left])
}
