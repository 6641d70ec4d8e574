import fc from 'fast-check'

/** One of the things that can happen to bytes. */
const mutation = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat() }),
  fc.record({
    kind: fc.constant('insert' as const),
    at: fc.nat(),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }),
  }),
  fc.record({ kind: fc.constant('replace' as const), bytes: fc.uint8Array({ maxLength: 300 }) }),
  fc.record({ kind: fc.constant('repeat' as const) }),
)
type Mutation = typeof mutation extends fc.Arbitrary<infer M> ? M : never

const mutate = (bytes: Uint8Array, change: Mutation): Buffer => {
  const copy = Buffer.from(bytes)
  switch (change.kind) {
    case 'flip':
      if (copy.length > 0) copy[change.at % copy.length]! ^= 1 << change.bit
      return copy
    case 'cut':
      return copy.subarray(0, change.at % (copy.length + 1))
    case 'insert': {
      const at = change.at % (copy.length + 1)
      return Buffer.concat([copy.subarray(0, at), change.bytes, copy.subarray(at)])
    }
    case 'replace':
      return Buffer.from(change.bytes)
    case 'repeat':
      return Buffer.concat([copy, copy])
  }
}

export const mutateAll = (bytes: Uint8Array, changes: readonly Mutation[]): Buffer =>
  changes.reduce<Buffer>((so, change) => mutate(so, change), Buffer.from(bytes))

export const several = fc.array(mutation, { minLength: 1, maxLength: 4 })

/** So many rounds, or as many as go into eight seconds. */
export const rounds = (numRuns: number) => ({
  numRuns,
  endOnFailure: true,
  interruptAfterTimeLimit: 8_000,
  markInterruptAsFailure: false,
})
