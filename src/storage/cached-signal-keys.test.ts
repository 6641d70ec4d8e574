import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CachedSignalKeys } from './cached-signal-keys.ts'
import type { KeyCommit, SignalKeyRepository } from './port/signal-keys.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const put = (id: string, text: string | undefined): KeyCommit => ({
  writes: [{ type: 'session', id, value: text === undefined ? undefined : bytes(text) }],
})

/** Keys in memory that count reads and commits, and commit when they are told to. */
class Keys implements Pick<SignalKeyRepository, 'get' | 'commit' | 'forget'> {
  readonly values = new Map<string, Uint8Array>()
  reads = 0
  commits = 0
  gates: PromiseWithResolvers<void>[] | undefined
  readGate: PromiseWithResolvers<void> | undefined

  async get(_deviceId: string, _type: string, ids: readonly string[]) {
    this.reads++
    const found = new Map(ids.flatMap((id) => (this.values.has(id) ? [[id, this.values.get(id)!] as const] : [])))
    await this.readGate?.promise
    return found
  }

  async commit(_deviceId: string, { writes }: KeyCommit) {
    this.commits++
    if (this.gates) {
      const gate = Promise.withResolvers<void>()
      this.gates.push(gate)
      await gate.promise
    }
    for (const { id, value } of writes)
      if (value) this.values.set(id, value)
      else this.values.delete(id)
  }

  async forget() {
    this.values.clear()
  }
}

const setUp = () => {
  const keys = new Keys()
  const cached = new CachedSignalKeys(keys as unknown as SignalKeyRepository)
  const read = async (id: string) => {
    const value = (await cached.get('d', 'session', [id])).get(id)
    return value && Buffer.from(value).toString()
  }
  return { keys, cached, read }
}

test('what was committed or read once is not read again, nor what is known not to be there', async () => {
  const { keys, cached, read } = setUp()
  await cached.commit('d', put('a', 'one'))
  assert.equal(await read('a'), 'one')
  assert.equal(await read('b'), undefined)
  assert.equal(await read('b'), undefined)
  assert.equal(keys.reads, 1)
  await cached.commit('d', put('a', undefined))
  assert.equal(await read('a'), undefined)
  assert.equal(keys.reads, 1)
})

test('other types are read and written every time', async () => {
  const { keys, cached } = setUp()
  for (let i = 0; i < 2; i++) {
    await cached.commit('d', { writes: [{ type: 'pre-key', id: '1', value: bytes('key') }] })
    await cached.get('d', 'pre-key', ['1'])
  }
  assert.deepEqual([keys.reads, keys.commits], [2, 2])
})

test('nothing is served that is not committed', async () => {
  const { keys, cached, read } = setUp()
  await cached.commit('d', put('a', 'old'))
  keys.gates = []
  const writing = cached.commit('d', put('a', 'new'))
  assert.equal(await read('a'), 'old')
  keys.gates[0]!.resolve()
  await writing
  assert.equal(await read('a'), 'new')
})

test('a commit that fails leaves what the database has', async () => {
  const { keys, cached, read } = setUp()
  await cached.commit('d', put('a', 'old'))
  keys.gates = []
  const writing = cached.commit('d', put('a', 'new'))
  keys.gates[0]!.reject(new Error('disk full'))
  await assert.rejects(writing, /disk full/)
  assert.equal(await read('a'), 'old')
})

test('of two commits under way at once the database decides', async () => {
  const { keys, cached, read } = setUp()
  keys.gates = []
  const [first, second] = [cached.commit('d', put('a', 'first')), cached.commit('d', put('a', 'second'))]
  const [one, two] = keys.gates as [PromiseWithResolvers<void>, PromiseWithResolvers<void>]
  two.resolve()
  await second
  one.resolve()
  await first
  assert.equal(await read('a'), 'first')
})

test('a read that was under way while a commit ended is not remembered', async () => {
  const { keys, cached, read } = setUp()
  keys.values.set('a', bytes('old'))
  keys.readGate = Promise.withResolvers<void>()
  const reading = read('a')
  await cached.commit('d', put('a', 'new'))
  keys.readGate.resolve()
  await reading
  keys.readGate = undefined
  assert.equal(await read('a'), 'new')
})

test('a write that changes nothing is no commit, unless something else is in it', async () => {
  const { keys, cached } = setUp()
  await cached.commit('d', put('a', 'one'))
  await cached.commit('d', put('a', 'one'))
  assert.equal(keys.commits, 1)
  await cached.commit('d', { ...put('a', 'one'), journal: { hash: 'h', plaintext: bytes('text') } })
  assert.equal(keys.commits, 2)
})

test('a forgotten device has nothing', async () => {
  const { cached, read } = setUp()
  await cached.commit('d', put('a', 'one'))
  await cached.forget('d')
  assert.equal(await read('a'), undefined)
})

test('what is read most recently stays when there is no more room', async () => {
  const keys = new Keys()
  const cached = new CachedSignalKeys(keys as unknown as SignalKeyRepository, 1_000)
  for (const id of ['a', 'b', 'c', 'd', 'e']) await cached.commit('d', put(id, 'x'.repeat(50)))
  await cached.get('d', 'session', ['e'])
  assert.equal(keys.reads, 0)
  await cached.get('d', 'session', ['a'])
  assert.equal(keys.reads, 1)
})
