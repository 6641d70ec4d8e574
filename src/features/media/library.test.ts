import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { after, test } from 'node:test'
import { FakeClock } from '../../../test/support/fake-clock.ts'
import type { MediaFacts, MessageOccurrence } from '../../engine/index.ts'
import { isParleyError, ParleyError } from '../../kernel/errors.ts'
import type { Logger } from '../../kernel/logger.ts'
import { MediaStore } from '../../media/store.ts'
import { TempFiles } from '../../media/temp-files.ts'
import type { MessageRow } from '../../storage/index.ts'
import { MediaLibrary } from './library.ts'

const home = mkdtempSync(join(tmpdir(), 'parley-library-'))
after(() => rmSync(home, { recursive: true, force: true }))

const GIB = 1024 ** 3
const identity = 'ab'.repeat(32)
const facts: MediaFacts = {
  kind: 'document',
  mimetype: 'application/x-thing',
  fileName: undefined,
  fileLength: 10,
  sha256: 'cd'.repeat(32),
  mediaKey: new Uint8Array(32),
  identity,
}
const row = {
  deviceId: 'd',
  conversationId: 'c',
  chat: '4915110000001@s.whatsapp.net',
  messageId: 'M1',
  sender: '4915110000001@s.whatsapp.net',
  content: Uint8Array.of(1),
} as MessageRow
const arrival = { kind: 'message', type: 'document', messageId: 'M1', chat: row.chat } as MessageOccurrence

interface Download {
  readonly maxBytes: number
  finish(): void
  fail(error: Error): void
}

/** A library whose downloads the test brings to their ends. */
const libraryIn = (folder: string, stored: MessageRow = row) => {
  const downloads: Download[] = []
  const events: string[] = []
  const notes: string[] = []
  let found = stored
  const logger: Logger = {
    debug: () => undefined,
    info: (_facts: unknown, text?: string) => void notes.push(String(text)),
    warn: () => undefined,
    error: () => undefined,
    child: () => logger,
  }
  const clock = new FakeClock()
  const media = {
    download: (_content: Uint8Array, sink: Writable, { maxBytes }: { maxBytes: number }) =>
      new Promise<void>((resolve, reject) => {
        downloads.push({
          maxBytes,
          finish: () => sink.end('0123456789', resolve),
          fail: (error) => {
            sink.destroy()
            reject(error)
          },
        })
      }),
  }
  const library = new MediaLibrary({
    messages: { find: async () => found, setContent: async () => undefined },
    identities: {
      person: async () => undefined,
      chat: async () => ({ conversationId: undefined, party: undefined }),
    },
    sessions: { connection: async () => ({ media }) as never },
    engine: { describeMedia: async () => facts, relocateMedia: async (content) => content },
    store: new MediaStore({ folder: join(home, folder), maxBytes: 0, clock, logger }),
    temp: new TempFiles(join(home, folder, 'tmp')),
    events: {
      append: async (_deviceId: string, drafts: readonly { readonly type: string }[]) => {
        events.push(...drafts.map(({ type }) => type))
        return []
      },
    } as never,
    accountOf: () => undefined,
    clock,
    logger,
  })
  const begun = async (count: number) => {
    while (downloads.length < count) await new Promise((resolve) => setImmediate(resolve))
    return downloads[count - 1]!
  }
  return {
    library,
    events,
    notes,
    begun,
    downloads,
    leftovers: () => readdirSync(join(home, folder, 'tmp')),
    change: (to: MessageRow) => {
      found = to
    },
  }
}

const tooLarge = (limit: number) => new ParleyError('too_large', 'too large', { data: { limit_bytes: limit } })

test('what nobody asked for may have 100 MB, whatever its sender says; who asks may have 2 GB', async () => {
  const { library, begun, downloads, events, notes, leftovers } = libraryIn('bounds')
  library.onArrival('d', arrival)
  const unasked = await begun(1)
  assert.equal(unasked.maxBytes, GIB / 10.24)
  const [first, second] = [library.open('d', row), library.open('d', row)]
  unasked.fail(tooLarge(unasked.maxBytes))
  const asked = await begun(2)
  assert.equal(asked.maxBytes, 2 * GIB)
  asked.finish()
  assert.deepEqual([(await first).file.size, (await second).file.size], [10, 10])
  assert.deepEqual([downloads.length, events], [2, ['media.downloaded']])
  assert.deepEqual([notes, leftovers()], [['an incoming file was not downloaded'], []])
})

test('what is too large for all is asked for once', async () => {
  const { library, begun, downloads } = libraryIn('large')
  const answers = [library.open('d', row), library.open('d', row)]
  ;(await begun(1)).fail(tooLarge(2 * GIB))
  for (const answer of answers) await assert.rejects(answer, (error) => isParleyError(error, 'too_large'))
  assert.equal(downloads.length, 1)
})

test('a message that is deleted while its file comes in gives nothing and leaves nothing', async () => {
  const { library, begun, change, events, leftovers } = libraryIn('deleted')
  const answer = library.open('d', row)
  const download = await begun(1)
  change({ ...row, content: undefined, revokedAt: 1 })
  download.finish()
  await assert.rejects(answer, (error) => isParleyError(error, 'gone'))
  assert.deepEqual([events, leftovers()], [[], []])
  await assert.rejects(library.open('d', { ...row, revokedAt: 1 }), (error) => isParleyError(error, 'gone'))
})
