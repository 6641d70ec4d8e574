import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { until } from '../../test/support/e2e/until.ts'
import { FakeClock } from '../../test/support/fake-clock.ts'
import type { Logger } from '../kernel/logger.ts'
import { MediaStore } from './store.ts'

const home = mkdtempSync(join(tmpdir(), 'parley-store-'))
after(() => rmSync(home, { recursive: true, force: true }))
const logger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => logger,
}
const clock = new FakeClock(Date.UTC(2026, 0, 1))
let count = 0
const open = (folder: string, maxBytes: number) =>
  new MediaStore({ folder: join(home, folder), maxBytes, clock, logger })
const name = (letter: string) => letter.repeat(64)
const put = async (store: MediaStore, letter: string, bytes: number) => {
  const path = join(home, `new-${count++}`)
  writeFileSync(path, letter.repeat(bytes))
  return store.put(name(letter), path)
}
const read = async (store: MediaStore, letter: string) => {
  const file = await store.get(name(letter))
  return file && Buffer.concat(await file.read().toArray()).toString()
}

test('a file is found again, in parts too, by this run and the next', async () => {
  const store = open('kept', 0)
  const file = await put(store, 'a', 10)
  assert.equal(file.size, 10)
  assert.equal(await read(store, 'a'), 'a'.repeat(10))
  assert.equal(Buffer.concat(await file.read({ start: 2, end: 4 }).toArray()).length, 3)
  assert.equal(await read(open('kept', 0), 'a'), 'a'.repeat(10))
  assert.equal(await read(store, 'b'), undefined)
  await assert.rejects(store.put('../../etc/x', file.path), RangeError)
})

test('above the cap what was used longest ago goes first', async () => {
  const store = open('small', 100)
  for (const letter of ['a', 'b', 'c']) {
    await put(store, letter, 30)
    await clock.advance(1_000)
  }
  await store.get(name('a'))
  await clock.advance(1_000)
  await put(store, 'd', 30)
  assert.deepEqual(
    await Promise.all(['a', 'b', 'c', 'd'].map(async (letter) => (await read(store, letter)) !== undefined)),
    [true, false, true, true],
  )
  const onDisk = () => readdirSync(join(home, 'small'), { recursive: true }).filter((path) => path.length > 60).length
  assert.equal(onDisk(), 4)
  await clock.advance(5_000)
  await until('the file that had to go is gone', () => onDisk() === 3)
  await put(store, 'e', 200)
  assert.equal((await read(store, 'e'))?.length, 200, 'a file that is larger than all is kept until the next')
  assert.equal(await read(store, 'a'), undefined)
})

test('a file that had to go can still be opened by whoever was just told of it, and may come back', async () => {
  const store = open('late', 50)
  const first = await put(store, 'a', 30)
  await put(store, 'b', 30)
  assert.equal(await store.get(name('a')), undefined)
  assert.equal(Buffer.concat(await first.read().toArray()).length, 30)
  await put(store, 'a', 30)
  await clock.advance(10_000)
  assert.equal(await read(store, 'a'), 'a'.repeat(30))
  await until('the other is gone', () => !existsSync(join(home, 'late', 'bb', name('b'))))
})

test('a file that nobody is to see any more is gone at once', async () => {
  const store = open('revoked', 50)
  const { path } = await put(store, 'a', 30)
  await store.remove(name('a'))
  await store.remove(name('b'))
  assert.deepEqual([existsSync(path), await store.get(name('a'))], [false, undefined])
  await put(store, 'b', 50)
  assert.equal((await read(store, 'b'))?.length, 50)
})

test('a file that somebody has deleted is not there', async () => {
  const store = open('gone', 0)
  const { path } = await put(store, 'a', 10)
  rmSync(path)
  assert.equal(await store.get(name('a')), undefined)
  await put(store, 'a', 5)
  assert.equal(await read(store, 'a'), 'aaaaa')
  assert.ok(existsSync(path))
})
