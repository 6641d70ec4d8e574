import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../../test/support/fake-clock.ts'
import { FakeEngine } from '../../test/support/fake-engine.ts'
import type { Account, EngineSignal } from '../engine/index.ts'
import { silentLogger } from '../kernel/logger.ts'
import { Semaphore } from '../kernel/semaphore.ts'
import type { DeviceChange } from '../storage/index.ts'
import { DeviceSession } from './device-session.ts'

const ACCOUNT: Account = {
  jid: '4915:2@s.whatsapp.net',
  lid: '777:2@lid',
  pushName: 'Ann',
  platform: 'android',
  businessName: undefined,
}

const setUp = ({ linked = false } = {}) => {
  const engine = new FakeEngine()
  const clock = new FakeClock()
  const told: EngineSignal[] = []
  const saved: DeviceChange[] = []
  const refreshed: number[] = []
  if (linked) engine.accounts.set('d1', ACCOUNT)
  const session = new DeviceSession(
    {
      deviceId: 'd1',
      proxyUrl: undefined,
      engine,
      intake: async () => undefined,
      clock,
      logger: silentLogger,
      backoff: { baseMs: 1000, capMs: 8000, jitter: 'none' },
      random: () => 0,
      gate: new Semaphore(5),
      announce: async (_, signal) => {
        told.push(signal)
      },
      saveDevice: async (_, change) => {
        saved.push(change)
      },
      refreshVersion: async () => {
        refreshed.push(1)
      },
      onOpen: () => undefined,
      onLateAck: () => undefined,
    },
    linked ? ACCOUNT : undefined,
  )
  const toldTypes = () => told.map(({ type }) => type)
  return { engine, clock, session, told, toldTypes, saved, refreshed }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

const openLinked = async () => {
  const parts = setUp({ linked: true })
  parts.session.start()
  await turn()
  parts.engine.last.signal({ type: 'open' })
  await turn()
  return parts
}

test('linking by QR: offers rotate, the phone agrees, 515, login', async () => {
  const { engine, clock, session, toldTypes } = setUp()
  const first = session.link({ method: 'qr' })
  await turn()
  engine.last.signal({ type: 'qr', code: 'one', expiresAt: clock.now() + 60_000 })
  assert.deepEqual(await first, { kind: 'offer', offer: { code: 'one', expiresAt: clock.now() + 60_000 } })
  engine.last.signal({ type: 'qr', code: 'two', expiresAt: clock.now() + 20_000 })
  const again = await session.link({ method: 'qr' })
  assert.equal(again.kind === 'offer' && again.offer.code, 'two')
  engine.accounts.set('d1', ACCOUNT)
  engine.last.account = ACCOUNT
  engine.last.signal({
    type: 'paired',
    jid: ACCOUNT.jid,
    lid: ACCOUNT.lid,
    platform: 'android',
    businessName: undefined,
  })
  assert.equal(session.linkState.state, 'finishing')
  engine.last.end({ kind: 'restart_required' })
  await clock.advance(1)
  await turn()
  assert.equal(engine.sessions.length, 2)
  assert.equal(engine.last.request.link, undefined)
  engine.last.signal({ type: 'open' })
  assert.deepEqual(session.linkState, { state: 'linked', jid: ACCOUNT.jid })
  assert.equal(session.status.isConnected, true)
  await turn()
  assert.ok(!toldTypes().includes('closed'), 'the restart after pairing is no disconnection')
  assert.deepEqual(await session.link({ method: 'qr' }), { kind: 'already_linked' })
})

test('two callers at once get one socket and the same code', async () => {
  const { engine, clock, session } = setUp()
  const both = [session.link({ method: 'qr' }), session.link({ method: 'qr' })]
  await turn()
  engine.last.signal({ type: 'qr', code: 'one', expiresAt: clock.now() + 60_000 })
  const [a, b] = await Promise.all(both)
  assert.deepEqual(a, b)
  assert.equal(engine.sessions.length, 1)
})

test('linking by code while a QR is shown closes the first socket before it opens the second', async () => {
  const { engine, clock, session } = setUp()
  const qr = session.link({ method: 'qr' })
  await turn()
  const first = engine.last
  const code = session.link({ method: 'code', phone: '4915' })
  await assert.rejects(qr, { code: 'pairing_failed' })
  await turn()
  assert.equal(first.closed?.kind, 'local')
  assert.equal(engine.sessions.length, 2)
  engine.last.signal({ type: 'pairing_code', code: 'ABCD-EFGH', expiresAt: clock.now() + 160_000 })
  const started = await code
  assert.equal(started.kind === 'offer' && started.offer.code, 'ABCD-EFGH')
  assert.equal(session.linkState.state, 'waiting_for_code')
})

for (const [cause, reason] of [
  [{ kind: 'codes_used_up' }, 'expired'],
  [{ kind: 'pairing_error', message: 'Invalid account signature' }, 'rejected'],
  [{ kind: 'network', message: 'reset' }, 'network'],
  [{ kind: 'refused', code: 403, message: 'Connection Failure' }, 'rejected'],
  [{ kind: 'refused', code: 409, message: 'too many devices' }, 'too_many_devices'],
] as const)
  test(`a linking that ends with ${cause.kind} fails as ${reason}`, async () => {
    const { engine, clock, session } = setUp()
    const started = session.link({ method: 'qr' })
    await turn()
    engine.last.signal({ type: 'qr', code: 'one', expiresAt: clock.now() + 60_000 })
    await started
    engine.last.end(cause)
    const state = session.linkState
    assert.equal(state.state === 'failed' && state.reason, reason)
    assert.equal(session.status.clientLoaded, false)
  })

test('an outdated client refreshes the version once, then the linking fails', async () => {
  const { engine, session, refreshed } = setUp()
  const started = session.link({ method: 'qr' })
  await turn()
  engine.last.end({ kind: 'outdated' })
  await turn()
  assert.equal(refreshed.length, 1)
  assert.equal(engine.sessions.length, 2)
  engine.last.end({ kind: 'outdated' })
  await assert.rejects(started, (error: { data?: { reason?: string } }) => error.data?.reason === 'version_rejected')
})

test('a linking that gets no answer ends by its deadline', async () => {
  const { engine, clock, session } = setUp()
  const started = session.link({ method: 'qr' })
  await turn()
  const refused = assert.rejects(started, (error: { data?: { reason?: string } }) => error.data?.reason === 'network')
  await clock.advance(60_000)
  await refused
  await turn()
  assert.equal(engine.last.closed?.kind, 'local')
  assert.equal(session.status.clientLoaded, false)
})

test('a passkey is asked for; without an assertion the linking fails as passkey_required', async () => {
  const { engine, clock, session } = setUp()
  const started = session.link({ method: 'qr' })
  await turn()
  engine.last.signal({ type: 'qr', code: 'one', expiresAt: clock.now() + 60_000 })
  await started
  const expiresAt = clock.now() + 300_000
  engine.last.passkeyStatus = {
    state: 'waiting_for_assertion',
    options: { challenge: 'x' },
    confirmationCode: undefined,
    expiresAt,
  }
  engine.last.signal({ type: 'passkey_required', options: { challenge: 'x' }, expiresAt })
  assert.equal(session.linkState.state, 'passkey_required')
  await assert.rejects(session.link({ method: 'qr' }), { code: 'conflict' })
  await clock.advance(320_000)
  const { reason } = session.linkState as { reason?: string }
  assert.equal(reason, 'passkey_required')
})

test('a lost connection comes back by itself, with growing waits, and tells both', async () => {
  const { engine, clock, session, toldTypes, saved } = await openLinked()
  engine.last.end({ kind: 'network', message: 'reset' })
  assert.equal(session.status.isConnected, false)
  await clock.advance(999)
  await turn()
  assert.equal(engine.sessions.length, 1)
  await clock.advance(1)
  await turn()
  assert.equal(engine.sessions.length, 2)
  engine.last.end({ kind: 'network', message: 'reset' })
  await clock.advance(1000)
  await turn()
  assert.equal(engine.sessions.length, 3)
  engine.last.end({ kind: 'network', message: 'reset' })
  await clock.advance(1000)
  await turn()
  assert.equal(engine.sessions.length, 3, 'the second failure in a row waits twice as long')
  await clock.advance(1000)
  await turn()
  engine.last.signal({ type: 'open' })
  await turn()
  assert.equal(session.status.isConnected, true)
  assert.equal(toldTypes().filter((type) => type === 'open').length, 2)
  assert.equal(saved.at(-1)?.status, 'active')
})

test('a logout from the phone forgets the keys and is told once', async () => {
  const { engine, session, toldTypes, saved } = await openLinked()
  engine.last.end({ kind: 'logged_out' })
  await turn()
  assert.deepEqual(engine.forgotten, ['d1'])
  assert.equal(session.status.isLoggedIn, false)
  assert.equal(toldTypes().filter((type) => type === 'closed').length, 1)
  assert.equal(saved.at(-1)?.status, 'logged_out')
})

test('a replaced, locked or banned device stays down until asked', async () => {
  for (const kind of ['replaced', 'locked', 'banned'] as const) {
    const { engine, clock, session, saved } = await openLinked()
    engine.last.end({ kind })
    await clock.advance(3_600_000)
    await turn()
    assert.equal(engine.sessions.length, 1)
    assert.equal(saved.at(-1)?.statusReason, kind)
    assert.match(session.status.error, new RegExp(kind))
    const back = session.reconnect(1000)
    await turn()
    engine.last.signal({ type: 'open' })
    await back
    assert.equal(session.status.isConnected, true)
  }
})

test('a temporary ban is waited out', async () => {
  const { engine, clock } = await openLinked()
  engine.last.end({ kind: 'temporary_ban', code: 101, expiresAt: clock.now() + 7_200_000 })
  await clock.advance(7_199_000)
  await turn()
  assert.equal(engine.sessions.length, 1)
  await clock.advance(1000)
  await turn()
  assert.equal(engine.sessions.length, 2)
})

test('a keepalive timeout is told, and so is its end', async () => {
  const { engine, clock, toldTypes } = await openLinked()
  engine.last.end({ kind: 'keepalive_timeout' })
  await clock.advance(1000)
  await turn()
  engine.last.signal({ type: 'open' })
  await turn()
  assert.ok(toldTypes().includes('keepalive_missed'))
  assert.ok(toldTypes().includes('keepalive_restored'))
})

test('the API logs out: WhatsApp is asked, keys are forgotten, and the status is saved before it answers', async () => {
  const { engine, session, saved } = await openLinked()
  await session.logout()
  assert.equal(engine.last.loggedOut, true)
  assert.deepEqual(engine.forgotten, ['d1'])
  assert.equal(saved.at(-1)?.status, 'logged_out')
})

test('after dispose nothing reconnects', async () => {
  const { engine, clock, session } = await openLinked()
  await session.dispose()
  await clock.advance(3_600_000)
  await turn()
  assert.equal(engine.sessions.length, 1)
  assert.deepEqual(engine.forgotten, [])
})
