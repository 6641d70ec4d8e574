import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LTHashState, SignalDataSet, SignalKeyStore } from 'baileys'
import { AppStateVersions } from './app-state-versions.ts'

const TYPE = 'app-state-sync-version'
const version = (number: number): LTHashState => ({ version: number, hash: Buffer.alloc(128), indexValueMap: {} })

const setUp = () => {
  const stored = new Map<string, unknown>()
  const state = { changesStored: async (): Promise<void> => undefined }
  const failures: unknown[] = []
  const keys = {
    get: async (type: string, ids: string[]) =>
      Object.fromEntries(ids.flatMap((id) => (stored.get(`${type}|${id}`) ? [[id, stored.get(`${type}|${id}`)]] : []))),
    set: async (data: SignalDataSet) => {
      for (const [type, entries] of Object.entries(data))
        for (const [id, value] of Object.entries(entries ?? {})) stored.set(`${type}|${id}`, value)
    },
  } as SignalKeyStore
  const versions = new AppStateVersions({
    keys,
    changesStored: () => state.changesStored(),
    onFailure: (error) => failures.push(error),
  })
  const kept = (name: string) => (stored.get(`${TYPE}|${name}`) as LTHashState | undefined)?.version
  const read = async (name: string) => (await versions.keys.get(TYPE, [name]))[name]?.version
  return { versions, state, stored, failures, kept, read }
}

test('a version is written only when the changes up to it are stored; Baileys finds it at once', async () => {
  const { versions, state, kept, read } = setUp()
  await versions.keys.set({ [TYPE]: { regular: version(1) } })
  await versions.settled()
  assert.equal(kept('regular'), 1)

  const storing = Promise.withResolvers<void>()
  state.changesStored = () => storing.promise
  await versions.keys.set({ [TYPE]: { regular: version(2), critical: version(7) } })
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual([kept('regular'), kept('critical')], [1, undefined])
  assert.deepEqual([await read('regular'), await read('critical')], [2, 7])
  storing.resolve()
  await versions.settled()
  assert.deepEqual([kept('regular'), kept('critical'), await read('regular')], [2, 7, 2])
})

test('when changes could not be stored, no version of this connection counts any more', async () => {
  const { versions, state, failures, kept, read } = setUp()
  const away = new Error('away')
  state.changesStored = async () => {
    throw away
  }
  await versions.keys.set({ [TYPE]: { regular: version(2) } })
  await assert.rejects(versions.settled(), away)
  state.changesStored = async () => undefined
  await versions.keys.set({ [TYPE]: { regular: version(3), critical: version(1) } })
  await assert.rejects(versions.settled(), away)
  assert.deepEqual([kept('regular'), kept('critical'), await read('regular')], [undefined, undefined, 3])
  assert.ok(failures.includes(away))
})

test('a version behind a change that did not verify does not count; after three of them all is fetched anew', async () => {
  const { versions, kept, read, stored } = setUp()
  await versions.keys.set({ [TYPE]: { regular: version(1) } })
  await versions.settled()
  for (const next of [2, 3]) {
    versions.refuse('regular')
    await versions.keys.set({ [TYPE]: { regular: version(next), critical: version(next) } })
    await versions.settled()
    assert.deepEqual([kept('regular'), await read('regular'), kept('critical')], [1, 1, next])
  }
  versions.refuse('regular')
  await versions.keys.set({ [TYPE]: { regular: version(4) } })
  await versions.settled()
  assert.equal(stored.get(`${TYPE}|regular`), null)
  // in a row: one that holds in between begins anew
  for (const next of [5, 6, 7]) {
    await versions.keys.set({ [TYPE]: { regular: version(next) } })
    versions.refuse('regular')
    await versions.keys.set({ [TYPE]: { regular: version(next + 10) } })
  }
  await versions.settled()
  assert.equal(kept('regular'), 7)
  versions.refuse('regular')
  assert.deepEqual([versions.takeRefusal('regular'), versions.takeRefusal('regular')], [true, false])
})

test('other keys pass; a version that is taken back is gone', async () => {
  const { versions, stored, read } = setUp()
  await versions.keys.set({ 'sender-key-memory': { a: { x: true } }, [TYPE]: { regular: version(1) } })
  assert.ok(stored.has('sender-key-memory|a'))
  await versions.keys.set({ [TYPE]: { regular: null } })
  assert.equal(await read('regular'), undefined)
  await versions.settled()
  assert.equal(stored.get(`${TYPE}|regular`), null)
})
