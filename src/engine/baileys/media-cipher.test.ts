import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, test } from 'node:test'
import { encryptedStream } from 'baileys'
import { isParleyError } from '../../kernel/errors.ts'
import { encryptedLength, encryptFile, hashFile, MediaDecipher } from './media-cipher.ts'

const home = mkdtempSync(join(tmpdir(), 'parley-cipher-'))
after(() => rmSync(home, { recursive: true, force: true }))

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()

const sealed = async (plain: Uint8Array, mediaKey: Uint8Array) => {
  const path = join(home, 'plain')
  writeFileSync(path, plain)
  const chunks: Buffer[] = []
  for await (const chunk of encryptFile(path, 'image', mediaKey)) chunks.push(chunk)
  return { path, body: Buffer.concat(chunks), hashes: await hashFile(path, 'image', mediaKey) }
}

/** Opens what flows in by pieces of `size`. */
const opened = async (body: Buffer, decipher: MediaDecipher, size: number): Promise<Buffer> => {
  const pieces = function* () {
    for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size)
  }
  return Buffer.concat(await Readable.from(pieces()).pipe(decipher).toArray())
}

test('a file of any length comes back, in pieces of any length', async () => {
  for (const length of [1, 15, 16, 17, 65_535, 65_536, 65_537, 200_000]) {
    const plain = randomBytes(length)
    const mediaKey = randomBytes(32)
    const { body, hashes } = await sealed(plain, mediaKey)
    assert.equal(body.length, encryptedLength(length))
    assert.deepEqual(
      [hashes.fileSha256, hashes.fileEncSha256, hashes.fileLength],
      [sha256(plain), sha256(body), length],
    )
    for (const size of [7, 4096, 1_000_000])
      assert.deepEqual(await opened(body, new MediaDecipher('image', mediaKey, hashes, 1e6), size), plain)
  }
})

test("it is what the library's own encryption makes of it", async () => {
  const plain = randomBytes(10_000)
  const theirs = await encryptedStream(plain, 'image')
  const { readFile } = await import('node:fs/promises')
  const body = await readFile(theirs.encFilePath)
  rmSync(theirs.encFilePath)
  const decipher = new MediaDecipher('image', theirs.mediaKey, theirs, 1e6)
  assert.deepEqual(await opened(body, decipher, 4096), plain)
  const ours = await sealed(plain, theirs.mediaKey)
  assert.deepEqual(ours.body, body)
})

test('what was changed on the way is refused, as is what is too long', async () => {
  const plain = randomBytes(1_000)
  const mediaKey = randomBytes(32)
  const { body, hashes } = await sealed(plain, mediaKey)
  const flip = (at: number) => Buffer.from(body.map((byte, index) => (index === at ? byte ^ 1 : byte)))
  const cases: readonly (readonly [string, Buffer, MediaDecipher])[] = [
    ['a byte', flip(5), new MediaDecipher('image', mediaKey, hashes, 1e6)],
    ['the MAC', flip(body.length - 1), new MediaDecipher('image', mediaKey, hashes, 1e6)],
    ['cut short', body.subarray(0, -16), new MediaDecipher('image', mediaKey, hashes, 1e6)],
    ['another kind', body, new MediaDecipher('video', mediaKey, hashes, 1e6)],
    ['another key', body, new MediaDecipher('image', randomBytes(32), hashes, 1e6)],
    ['another file', body, new MediaDecipher('image', mediaKey, { ...hashes, fileSha256: sha256(body) }, 1e6)],
    ['nothing', Buffer.alloc(0), new MediaDecipher('image', mediaKey, hashes, 1e6)],
  ]
  for (const [what, bytes, decipher] of cases)
    await assert.rejects(opened(bytes, decipher, 512), (error) => isParleyError(error, 'whatsapp_refused'), what)
  const narrow = new MediaDecipher('image', mediaKey, hashes, 500)
  await assert.rejects(opened(body, narrow, 512), (error) => isParleyError(error, 'too_large'))
})
