import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../../test/support/fake-clock.ts'
import type { EngineSignal } from '../engine/index.ts'
import { ParleyError } from '../kernel/errors.ts'
import { silentLogger } from '../kernel/logger.ts'
import type { DeviceChange } from '../storage/index.ts'
import { MOST_KEPT, type SignalFacts, StateRecorder } from './state-recorder.ts'

const away = () => new ParleyError('storage_unavailable', 'away', { retryAfterSeconds: 5 })
const facts = (now = 0): SignalFacts => ({ account: undefined, wasOpen: true, attempt: 0, now })
const OPEN: EngineSignal = { type: 'open' }
const CLOSED: EngineSignal = { type: 'closed', cause: { kind: 'network', message: 'x' } }
const TYPING: EngineSignal = {
  type: 'presence',
  jid: 'a@lid',
  pn: undefined,
  lid: 'a@lid',
  available: true,
  lastSeenAt: undefined,
}

const setUp = () => {
  const clock = new FakeClock()
  const written: string[] = []
  const told: number[] = []
  const saved: DeviceChange[] = []
  const errors: string[] = []
  const state = { failure: undefined as Error | undefined, tries: 0 }
  const write = async (what: string) => {
    state.tries++
    if (state.failure) throw state.failure
    written.push(what)
  }
  const recorder = new StateRecorder({
    deviceId: 'd1',
    clock,
    random: () => 0.5,
    logger: { ...silentLogger, error: (_: object, words: string) => void errors.push(words) },
    announce: async (_, signal, { now }) => {
      await write(signal.type)
      told.push(now)
    },
    saveDevice: async (_, change) => {
      await write('device')
      saved.push(change)
    },
  })
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  return { recorder, clock, written, told, saved, errors, state, turn }
}

test('events and the state of the row are written in the order in which they happened', async () => {
  const { recorder, written } = setUp()
  recorder.tell(OPEN, facts())
  recorder.save({ status: 'active' })
  recorder.tell(CLOSED, facts())
  await recorder.settled()
  assert.deepEqual(written, ['open', 'device', 'closed'])
})

test('while the database is away they wait: events in order, of the row the latest state', async () => {
  const { recorder, clock, written, told, saved, errors, state, turn } = setUp()
  state.failure = away()
  recorder.tell(CLOSED, facts(1))
  recorder.save({ status: 'disconnected', statusReason: 'network' })
  recorder.tell(OPEN, facts(2))
  recorder.save({ status: 'active', statusReason: undefined, pushName: 'Ada' })
  recorder.tell(CLOSED, facts(3))
  recorder.save({ status: 'disconnected', statusReason: 'keepalive_timeout' })
  let settled = false
  void recorder.settled().then(() => {
    settled = true
  })
  for (let round = 0; round < 5; round++) {
    await turn()
    assert.equal(clock.pending, 1, 'one try at a time')
    await clock.advance(5_000)
  }
  assert.ok(state.tries > 5 && state.tries < 12, `${state.tries} tries in 25 s`)
  assert.deepEqual([settled, written], [false, []])
  state.failure = undefined
  await clock.advance(5_000)
  await recorder.settled()
  await turn()
  assert.ok(settled)
  assert.deepEqual(written, ['closed', 'open', 'closed', 'device'])
  assert.deepEqual(told, [1, 2, 3])
  assert.deepEqual(saved, [{ status: 'disconnected', statusReason: 'keepalive_timeout', pushName: 'Ada' }])
  assert.deepEqual(errors, [])
  assert.equal(clock.pending, 0)
})

test('what the database refuses for what is in it is left out, and the rest goes on', async () => {
  const { recorder, written, errors, state } = setUp()
  state.failure = new ParleyError('not_found', 'no such device')
  recorder.tell(OPEN, facts())
  await recorder.settled()
  state.failure = undefined
  recorder.tell(CLOSED, facts())
  await recorder.settled()
  assert.deepEqual([written, errors], [['closed'], ['a change of state was not recorded']])
})

test('no more than the bound is kept: fleeting events go first, then the oldest, and that is said', async () => {
  const { recorder, clock, written, told, errors, state, turn } = setUp()
  state.failure = away()
  recorder.tell(OPEN, facts(0))
  for (let count = 1; count <= MOST_KEPT; count++) recorder.tell(count % 2 ? TYPING : CLOSED, facts(count))
  for (let count = 1; count <= MOST_KEPT; count++) recorder.tell(CLOSED, facts(1_000 + count))
  recorder.save({ status: 'disconnected' })
  await turn()
  state.failure = undefined
  await clock.advance(5_000)
  await recorder.settled()
  assert.equal(told.length, MOST_KEPT)
  assert.ok(!written.includes('presence'))
  assert.equal(told[0], 0, 'that was being written')
  assert.deepEqual(
    told.slice(1),
    told.slice(1).toSorted((a, b) => a - b),
  )
  assert.equal(told.at(-1), 1_000 + MOST_KEPT)
  assert.equal(written.at(-1), 'device')
  assert.deepEqual(errors, ['the database was away for too long: events were left out'])
})

test('at the end nobody waits: each is tried once more', async () => {
  const { recorder, clock, written, errors, state, turn } = setUp()
  state.failure = away()
  recorder.tell(OPEN, facts())
  recorder.save({ status: 'active' })
  await turn()
  await recorder.end()
  assert.deepEqual([written, errors.length, clock.pending], [[], 2, 0])
})
