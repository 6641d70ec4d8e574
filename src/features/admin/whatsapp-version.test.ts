import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../../../test/support/fake-clock.ts'
import { MemoryStorage } from '../../../test/support/fakes/memory-storage.ts'
import { isParleyError } from '../../kernel/errors.ts'
import { silentLogger } from '../../kernel/logger.ts'
import { readRevision, type VersionNumber, WebVersion, type WebVersionParts } from './whatsapp-version.ts'

const BUILT_IN: VersionNumber = [2, 3_000, 1_019_175_440]
const script = (revision: number) => `self.__swData=JSON.parse(/*BTDS*/"{\\"client_revision\\":${revision}}");`

const open = async (more: Partial<WebVersionParts> = {}) => {
  const clock = new FakeClock()
  const applied: string[] = []
  const storage = new MemoryStorage()
  let fetches = 0
  let revision = 1_019_176_000
  const parts: WebVersionParts = {
    builtIn: BUILT_IN,
    pinned: {},
    url: 'http://whatsapp.test/sw.js',
    fetchText: async () => {
      fetches += 1
      return script(revision)
    },
    settings: storage.settings,
    clock,
    logger: silentLogger,
    minIntervalMs: 600_000,
    apply: (version) => applied.push(version.join('.')),
    ...more,
  }
  const version = await WebVersion.open(parts)
  return {
    version,
    parts,
    clock,
    applied,
    storage,
    fetches: () => fetches,
    publish: (next: number) => {
      revision = next
    },
  }
}

test('the revision is found escaped and plain, and only there', () => {
  assert.deepEqual(readRevision(script(1_019_176_000)), [2, 3_000, 1_019_176_000])
  assert.deepEqual(readRevision('{"client_revision": 1019176000}'), [2, 3_000, 1_019_176_000])
  assert.equal(readRevision('<html>Sorry</html>'), undefined)
  assert.equal(readRevision('"client_revision":"x"'), undefined)
})

test('a refresh applies, and survives a restart', async () => {
  const { version, parts, applied, clock } = await open()
  assert.deepEqual(applied, ['2.3000.1019175440'])
  assert.deepEqual(await version.refresh(true), { refreshed: true })
  assert.deepEqual(version.current(), [2, 3_000, 1_019_176_000])
  assert.equal(version.lastRefreshedAt, clock.now())
  const again = await WebVersion.open(parts)
  assert.deepEqual(again.current(), [2, 3_000, 1_019_176_000])
  assert.equal(again.lastRefreshedAt, clock.now())
  assert.deepEqual(applied.slice(1), ['2.3000.1019176000', '2.3000.1019176000'])
  const newer = await WebVersion.open({ ...parts, builtIn: [2, 3_000, 1_019_200_000] })
  assert.deepEqual(newer.current(), [2, 3_000, 1_019_200_000])
})

test('what is stored but not readable is passed over', async () => {
  const { parts, storage } = await open()
  await storage.settings.set('whatsapp_web_version', '{"version":[1,"x"]}')
  assert.deepEqual((await WebVersion.open(parts)).current(), BUILT_IN)
})

test('unforced refreshes are throttled, after failures too; forced ones are not', async () => {
  const { version, clock, fetches, publish } = await open()
  assert.deepEqual(await version.refresh(false), { refreshed: true })
  assert.deepEqual(await version.refresh(false), { refreshed: false })
  assert.deepEqual(await version.refresh(true), { refreshed: true })
  await clock.advance(600_000)
  publish(0)
  await assert.rejects(version.refresh(false))
  assert.deepEqual(await version.refresh(false), { refreshed: false })
  assert.equal(fetches(), 3)
})

test('calls at the same time share one fetch', async () => {
  const { version, fetches } = await open()
  assert.deepEqual(await Promise.all([version.refresh(true), version.refresh(true), version.refresh(false)]), [
    { refreshed: true },
    { refreshed: true },
    { refreshed: true },
  ])
  assert.equal(fetches(), 1)
})

test('a failed fetch keeps the version and says why until one succeeds', async () => {
  let fails = true
  const { version } = await open({
    fetchText: async () => {
      if (fails) throw new Error('whatsapp.test answered 503')
      return script(1_019_176_000)
    },
  })
  await assert.rejects(version.refresh(true), (error) => isParleyError(error, 'whatsapp_refused'))
  assert.deepEqual(
    [version.current(), version.lastError, version.lastRefreshedAt],
    [BUILT_IN, 'whatsapp.test answered 503', undefined],
  )
  fails = false
  await version.refresh(true)
  assert.equal(version.lastError, '')
})

test('a fetch that hangs is given up after 15 s', async () => {
  const { version, clock } = await open({
    fetchText: (_, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')))),
  })
  const refreshing = assert.rejects(version.refresh(true), /no answer within 15 s/)
  await clock.advance(15_000)
  await refreshing
  assert.equal(version.lastError, 'no answer within 15 s')
  assert.equal(clock.pending, 0)
})

test('pinned numbers win over what is fetched, one by one', async () => {
  const { version, applied } = await open({ pinned: { patch: 1_019_199_999 } })
  await version.refresh(true)
  assert.deepEqual(version.current(), [2, 3_000, 1_019_199_999])
  assert.deepEqual(applied, ['2.3000.1019199999', '2.3000.1019199999'])
})
