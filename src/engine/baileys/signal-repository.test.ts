import assert from 'node:assert/strict'
import { test } from 'node:test'
import { generateSignalPubKey, type SignalRepositoryWithLIDStore } from 'baileys'
import { MemorySignalKeys } from '../../../test/support/memory-signal-keys.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { KeyedQueue } from '../../kernel/keyed-queue.ts'
import { silentLogger } from '../../kernel/logger.ts'
import { AuthStore } from './auth-store.ts'
import { createSharedLidCache, LidMap } from './lid-map.ts'
import { type FrameSink, OutputGate } from './output-gate.ts'
import { RustSignalCore } from './rust-signal-core.ts'
import { createSignalRepository } from './signal-repository.ts'

interface Side {
  readonly jid: string
  readonly auth: AuthStore
  readonly keys: MemorySignalKeys
  readonly lidMap: LidMap
  readonly signal: SignalRepositoryWithLIDStore
  readonly refused: string[]
  readonly failures: Error[]
}

const DEVICE = 'd1'

const createSide = async (
  jid: string,
  keys = new MemorySignalKeys(),
  auth?: AuthStore,
  gate?: OutputGate,
): Promise<Side> => {
  const store = auth ?? AuthStore.draft(DEVICE, keys)
  if (!auth) await store.persist()
  const lidMap = new LidMap({
    deviceId: DEVICE,
    repository: keys,
    cache: createSharedLidCache(100),
    ask: async () => [],
  })
  const refused: string[] = []
  const failures: Error[] = []
  const signal = createSignalRepository({
    deviceId: DEVICE,
    auth: store,
    repository: keys,
    core: new RustSignalCore(),
    lidMap,
    locks: new KeyedQueue(),
    ...(gate ? { gate } : {}),
    logger: silentLogger,
    onRefused: (what) => refused.push(what),
    onKeyFailure: (error) => failures.push(error),
  })
  return { jid, auth: store, keys, lidMap, signal, refused, failures }
}

const bundleOf = async ({ auth }: Side, preKeyId: number) => {
  const { Curve } = await import('baileys')
  const preKey = Curve.generateKeyPair()
  await auth.keys.set({ 'pre-key': { [preKeyId]: preKey } })
  const { signedIdentityKey, signedPreKey, registrationId } = auth.creds
  return {
    registrationId,
    identityKey: generateSignalPubKey(signedIdentityKey.public) as Uint8Array,
    signedPreKey: {
      keyId: signedPreKey.keyId,
      publicKey: generateSignalPubKey(signedPreKey.keyPair.public) as Uint8Array,
      signature: signedPreKey.signature,
    },
    preKey: { keyId: preKeyId, publicKey: generateSignalPubKey(preKey.public) as Uint8Array },
  }
}

const meet = async () => {
  const [alice, bob] = [await createSide('111@lid'), await createSide('222:3@lid')]
  await alice.signal.injectE2ESession({ jid: bob.jid, session: await bundleOf(bob, 7) })
  return { alice, bob }
}

const text = (words: string) => Buffer.from(words)
const send = (from: Side, to: Side, words: string) => from.signal.encryptMessage({ jid: to.jid, data: text(words) })
const open = (to: Side, from: Side, { type, ciphertext }: Awaited<ReturnType<typeof send>>) =>
  to.signal.decryptMessage({ jid: from.jid, type, ciphertext }).then((bytes) => Buffer.from(bytes).toString())

test('two sides talk both ways, out of order too, and the one-time pre-key is used up', async () => {
  const { alice, bob } = await meet()
  const first = await send(alice, bob, 'hello')
  assert.equal(first.type, 'pkmsg')
  assert.equal(await open(bob, alice, first), 'hello')
  assert.equal((await bob.keys.get(DEVICE, 'pre-key', ['7'])).size, 0)
  const answer = await send(bob, alice, 'hi')
  assert.equal(answer.type, 'msg')
  assert.equal(await open(alice, bob, answer), 'hi')
  const later = [await send(alice, bob, 'a'), await send(alice, bob, 'b'), await send(alice, bob, 'c')]
  assert.equal(await open(bob, alice, later[2]!), 'c')
  assert.equal(await open(bob, alice, later[0]!), 'a')
  assert.equal(await open(bob, alice, later[1]!), 'b')
})

test('concurrent sends to one address use different message keys', async () => {
  const { alice, bob } = await meet()
  const sent = await Promise.all(Array.from({ length: 20 }, (_, i) => send(alice, bob, `m${i}`)))
  const opened = await Promise.all(sent.map((message) => open(bob, alice, message)))
  assert.deepEqual(opened.sort(), Array.from({ length: 20 }, (_, i) => `m${i}`).sort())
})

test('a ciphertext is handed out only after its ratchet is committed', async () => {
  const { alice, bob } = await meet()
  await send(alice, bob, 'one')
  alice.keys.failure = new ParleyError('storage_unavailable', 'away')
  await assert.rejects(send(alice, bob, 'two'), { code: 'storage_unavailable' })
  alice.keys.failure = undefined
  const before = alice.keys.commits
  await send(alice, bob, 'three')
  assert.equal(alice.keys.commits, before + 1)
})

test('the same ciphertext again is answered from the journal, also after a restart', async () => {
  const { alice, bob } = await meet()
  const message = await send(alice, bob, 'once')
  assert.equal(await open(bob, alice, message), 'once')
  const restarted = await createSide(bob.jid, bob.keys, (await AuthStore.load(DEVICE, bob.keys))!)
  assert.equal(await open(restarted, alice, message), 'once')
  await bob.keys.pruneJournal()
  await assert.rejects(open(restarted, alice, message), /Key used already/)
  assert.deepEqual(restarted.refused, [])
})

test('when storage fails while opening, the failure is ours and not the sender’s', async () => {
  const { alice, bob } = await meet()
  const message = await send(alice, bob, 'x')
  bob.keys.failure = new ParleyError('storage_unavailable', 'away')
  await assert.rejects(open(bob, alice, message), /^Error: parley:storage/)
  bob.keys.failure = undefined
  assert.equal(await open(bob, alice, message), 'x')
})

test('first messages that cross, and answers in both sessions, are all opened', async () => {
  const [alice, bob] = [await createSide('111@lid'), await createSide('222:3@lid')]
  await alice.signal.injectE2ESession({ jid: bob.jid, session: await bundleOf(bob, 7) })
  await bob.signal.injectE2ESession({ jid: alice.jid, session: await bundleOf(alice, 9) })
  const underWay = { a: [] as Awaited<ReturnType<typeof send>>[], b: [] as Awaited<ReturnType<typeof send>>[] }
  // lower case: that side writes; upper case: it opens the oldest message for it
  for (const step of 'abAaBbBAaBbAbAaB') {
    if (step === 'a') underWay.b.push(await send(alice, bob, 'from alice'))
    else if (step === 'b') underWay.a.push(await send(bob, alice, 'from bob'))
    else if (step === 'A') assert.equal(await open(alice, bob, underWay.a.shift()!), 'from bob')
    else assert.equal(await open(bob, alice, underWay.b.shift()!), 'from alice')
  }
})

test('a tampered message is refused and counted, and the session lives on', async () => {
  const { alice, bob } = await meet()
  const message = await send(alice, bob, 'x')
  const ciphertext = Buffer.from(message.ciphertext)
  // within the inner message's MAC; what follows it in a pkmsg (two ids) is not covered by it
  ciphertext[ciphertext.length - 14]! ^= 1
  await assert.rejects(open(bob, alice, { ...message, ciphertext }))
  assert.deepEqual(bob.refused, ['message'])
  assert.equal(await open(bob, alice, message), 'x')
})

test('a bundle with a forged signature costs that device its copy and nothing else', async () => {
  const [alice, bob] = [await createSide('111@lid'), await createSide('222@lid')]
  const bundle = await bundleOf(bob, 7)
  const signature = Buffer.from(bundle.signedPreKey.signature)
  signature[10]! ^= 1
  await alice.signal.injectE2ESession({
    jid: bob.jid,
    session: { ...bundle, signedPreKey: { ...bundle.signedPreKey, signature } },
  })
  assert.deepEqual(alice.refused, ['pre_key_bundle'])
  assert.equal((await alice.signal.validateSession(bob.jid)).exists, false)
  await assert.rejects(send(alice, bob, 'x'))
})

test('groups: the sender key record stays small over 2 000 messages, and tampering is refused', async () => {
  const [alice, bob] = [await createSide('111:1@lid'), await createSide('222:3@lid')]
  const group = '120363000000000001@g.us'
  for (let i = 0; i < 2000; i++) {
    const sent = await alice.signal.encryptGroupMessage({ group, meId: alice.jid, data: text(`m${i}`) })
    if (i === 0)
      await bob.signal.processSenderKeyDistributionMessage({
        authorJid: alice.jid,
        item: { groupId: group, axolotlSenderKeyDistributionMessage: sent.senderKeyDistributionMessage },
      })
    if (i % 500 !== 0) continue
    const bytes = await bob.signal.decryptGroupMessage({ group, authorJid: alice.jid, msg: sent.ciphertext })
    assert.equal(Buffer.from(bytes).toString(), `m${i}`)
  }
  const records = [...alice.keys.rows].filter(([key]) => key.includes('|sender-key|')).map(([, value]) => value.length)
  assert.equal(records.length, 1)
  assert.ok(records[0]! <= 130, `record has ${records[0]} bytes`)
  assert.equal(await alice.signal.hasSenderKey({ group, meId: alice.jid }), true)
  assert.equal(await alice.signal.hasSenderKey({ group, meId: '999@lid' }), false)

  const next = await alice.signal.encryptGroupMessage({ group, meId: alice.jid, data: text('next') })
  const tampered = Buffer.from(next.ciphertext)
  tampered[tampered.length - 5]! ^= 1
  await assert.rejects(bob.signal.decryptGroupMessage({ group, authorJid: alice.jid, msg: tampered }))
  assert.deepEqual(bob.refused, ['sender_key_message'])
  const bytes = await bob.signal.decryptGroupMessage({ group, authorJid: alice.jid, msg: next.ciphertext })
  assert.equal(Buffer.from(bytes).toString(), 'next')
})

test('a PN and the LID of the same device are one session once the pair is known', async () => {
  const [alice, bob] = [await createSide('111@lid'), await createSide('222@lid')]
  await alice.lidMap.storeLIDPNMappings([{ lid: '222@lid', pn: '49222@s.whatsapp.net' }])
  await alice.signal.injectE2ESession({ jid: '49222@s.whatsapp.net', session: await bundleOf(bob, 7) })
  assert.equal((await alice.signal.validateSession('222@lid')).exists, true)
  assert.equal(alice.signal.jidToSignalProtocolAddress('49222@s.whatsapp.net'), '222_1.0')
})

test('sessions under a PN move to the LID only where the LID has none', async () => {
  const [alice, bob] = [await createSide('111@lid'), await createSide('222@lid')]
  const pn = '49222@s.whatsapp.net'
  await alice.signal.injectE2ESession({ jid: pn, session: await bundleOf(bob, 7) })
  assert.deepEqual(
    [...alice.keys.rows.keys()].filter((key) => key.includes('|session|')),
    ['d1|session|49222.0'],
  )
  assert.deepEqual(await alice.signal.migrateSession(pn, bob.jid), { migrated: 1, skipped: 0, total: 1 })
  assert.deepEqual(
    [...alice.keys.rows.keys()].filter((key) => key.includes('|session|')),
    ['d1|session|222_1.0'],
  )
  const kept = alice.keys.rows.get('d1|session|222_1.0')
  alice.keys.rows.set('d1|session|49222.0', Buffer.from('older'))
  assert.equal((await alice.signal.migrateSession(pn, bob.jid)).migrated, 0)
  assert.deepEqual(alice.keys.rows.get('d1|session|222_1.0'), kept)
  assert.equal(alice.keys.rows.has('d1|session|49222.0'), false)
})

test('the facts of a session can be read for retry handling', async () => {
  const { alice, bob } = await meet()
  const facts = await alice.signal.getSessionInfo(bob.jid)
  assert.equal(facts?.registrationId, bob.auth.creds.registrationId)
  assert.equal(facts?.baseKey.length, 33)
  await alice.signal.deleteSession([bob.jid])
  assert.equal(await alice.signal.getSessionInfo(bob.jid), null)
})

test('encryptions for one address do not wait for each other’s commits, and a ciphertext for its own', async () => {
  const { alice, bob } = await meet()
  const commit = alice.keys.commit.bind(alice.keys)
  const gates: PromiseWithResolvers<void>[] = []
  alice.keys.commit = async (...what) => {
    const gate = Promise.withResolvers<void>()
    gates.push(gate)
    await gate.promise
    return commit(...what)
  }
  const told: number[] = []
  const sent = [1, 2, 3].map((number) =>
    send(alice, bob, `text ${number}`).then((ciphertext) => {
      told.push(number)
      return ciphertext
    }),
  )
  while (gates.length < 3) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(told, [])
  gates[0]!.resolve()
  const first = await sent[0]!
  assert.deepEqual(told, [1])
  gates[1]!.resolve()
  gates[2]!.resolve()
  const [second, third] = await Promise.all([sent[1]!, sent[2]!])
  alice.keys.commit = commit
  const fourth = await send(alice, bob, 'text 4')
  for (const [at, ciphertext] of [first, second, third, fourth].entries())
    assert.equal(await open(bob, alice, ciphertext), `text ${at + 1}`)
})

test('with a gate a ciphertext is handed out at once, and does not leave before its ratchet is committed', async () => {
  const gate = new OutputGate()
  const left: string[] = []
  const socket: FrameSink = { send: (frame) => void left.push(Buffer.from(frame).toString()) }
  gate.guard(socket)
  const [alice, bob] = [await createSide('111@lid', undefined, undefined, gate), await createSide('222:3@lid')]
  await alice.signal.injectE2ESession({ jid: bob.jid, session: await bundleOf(bob, 7) })
  const committed = Promise.withResolvers<void>()
  const commit = alice.keys.commit.bind(alice.keys)
  alice.keys.commit = async (...what) => {
    await committed.promise
    return commit(...what)
  }
  const sent = await Promise.all([1, 2, 3].map((number) => send(alice, bob, `text ${number}`)))
  socket.send(Buffer.from('frame'), assert.ifError)
  await new Promise(setImmediate)
  assert.deepEqual(left, [])
  committed.resolve()
  await new Promise(setImmediate)
  assert.deepEqual(left, ['frame'])
  for (const [at, ciphertext] of sent.entries()) assert.equal(await open(bob, alice, ciphertext), `text ${at + 1}`)

  alice.keys.commit = () => Promise.reject(new ParleyError('storage_unavailable', 'gone'))
  await send(alice, bob, 'never')
  const errors: unknown[] = []
  socket.send(Buffer.from('never'), (error) => errors.push(error))
  await new Promise(setImmediate)
  assert.deepEqual(left, ['frame'])
  assert.equal(errors.length, 1)
  assert.deepEqual(
    alice.failures.map((error) => (error as ParleyError).code),
    ['storage_unavailable'],
  )
})

test('an encryption that is not committed gives no ciphertext; the ones behind it are readable', async () => {
  const { alice, bob } = await meet()
  const commit = alice.keys.commit.bind(alice.keys)
  let failures = 1
  alice.keys.commit = async (...what) => {
    await new Promise((resolve) => setImmediate(resolve))
    if (failures-- > 0) throw new ParleyError('storage_unavailable', 'no disk')
    return commit(...what)
  }
  const [lost, kept] = await Promise.allSettled([send(alice, bob, 'lost'), send(alice, bob, 'kept')])
  assert.equal(lost.status, 'rejected')
  assert.equal(kept.status, 'fulfilled')
  alice.keys.commit = commit
  const later = await send(alice, bob, 'later')
  assert.equal(await open(bob, alice, (kept as PromiseFulfilledResult<typeof later>).value), 'kept')
  assert.equal(await open(bob, alice, later), 'later')
  assert.equal(alice.failures.length, 1)
})

test('a decryption waits for the encryptions that are under way', async () => {
  const { alice, bob } = await meet()
  await open(bob, alice, await send(alice, bob, 'hello'))
  const answer = await send(bob, alice, 'hi')
  const commit = alice.keys.commit.bind(alice.keys)
  const order: string[] = []
  alice.keys.commit = async (...what) => {
    const kind = what[1].journal ? 'decryption' : 'encryption'
    order.push(`${kind} begins`)
    await new Promise((resolve) => setImmediate(resolve))
    await commit(...what)
    order.push(`${kind} ends`)
  }
  const [ciphertext, words] = await Promise.all([send(alice, bob, 'next'), open(alice, bob, answer)])
  assert.equal(words, 'hi')
  assert.deepEqual(order, ['encryption begins', 'encryption ends', 'decryption begins', 'decryption ends'])
  assert.equal(await open(bob, alice, ciphertext), 'next')
})
