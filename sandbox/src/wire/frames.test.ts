import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FrameReader, frame, WA_HEADER } from './frames.ts'

test('frames survive any cutting of the stream, with and without the routing intro', () => {
  const bodies = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 })
  fc.assert(
    fc.property(bodies, fc.array(fc.nat(400), { maxLength: 8 }), fc.boolean(), (frames, cuts, routed) => {
      const intro = routed
        ? Buffer.concat([Buffer.from('ED\0\x01\0\0\x03', 'latin1'), Buffer.from('abc')])
        : Buffer.alloc(0)
      const stream = Buffer.concat([intro, WA_HEADER, ...frames.map(frame)])
      const reader = new FrameReader()
      const found: Buffer[] = []
      let position = 0
      for (const cut of [...cuts, stream.length]) {
        found.push(...reader.push(stream.subarray(position, position + cut)))
        position += cut
      }
      assert.deepEqual(
        found.map((body) => [...body]),
        frames.map((body) => [...body]),
      )
    }),
    { numRuns: 200 },
  )
})

test('a stream that begins otherwise is refused at its first wrong byte', () => {
  assert.throws(() => new FrameReader().push(Buffer.from('GET /')), /WA 6 3/)
  assert.throws(() => new FrameReader().push(Buffer.from([0x57, 0x41, 5])), /WA 6 3/)
  assert.throws(() => new FrameReader().push(Buffer.from('ED\0\x02\0\0\0', 'latin1')))
})

test('a body too long for three bytes of length is refused', () => {
  assert.throws(() => frame(Buffer.alloc(0x1_00_00_00)), RangeError)
})
