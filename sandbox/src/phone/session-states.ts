// libsignal's RecordStructure: the session state in use is field 1, older ones are field 2; both are embedded messages.
const IN_USE = 1
const OLDER = 2
const LENGTH_DELIMITED = 2

/** The states of a stored session, the one in use first. */
export function statesOf(record: Uint8Array): Uint8Array[] {
  const inUse: Uint8Array[] = []
  const older: Uint8Array[] = []
  for (let at = 0; at < record.length; ) {
    const tag = record[at]!
    const length = readLength(record, at + 1)
    const end = length.next + length.value
    if (tag % 8 !== LENGTH_DELIMITED || end > record.length) throw new RangeError('not a session record')
    const list = tag >> 3 === IN_USE ? inUse : older
    list.push(record.subarray(length.next, end))
    at = end
  }
  return [...inUse, ...older]
}

/** A record of these states, the first in use. */
export function recordOf(states: readonly Uint8Array[]): Buffer {
  const parts = states.map((state, index) => {
    const tag = ((index === 0 ? IN_USE : OLDER) << 3) | LENGTH_DELIMITED
    return Buffer.concat([Buffer.of(tag), writeLength(state.length), state])
  })
  return Buffer.concat(parts)
}

function readLength(bytes: Uint8Array, from: number): { value: number; next: number } {
  let value = 0
  for (let at = from, factor = 1; at < bytes.length && factor < 2 ** 35; at += 1, factor *= 128) {
    value += (bytes[at]! & 0x7f) * factor
    if (bytes[at]! < 0x80) return { value, next: at + 1 }
  }
  throw new RangeError('not a session record')
}

function writeLength(length: number): Buffer {
  const bytes: number[] = []
  for (let left = length; ; left = Math.floor(left / 128)) {
    if (left < 128) return Buffer.from([...bytes, left])
    bytes.push((left % 128) | 0x80)
  }
}
