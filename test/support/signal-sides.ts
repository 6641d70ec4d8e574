import assert from 'node:assert/strict'
import { Curve, generateSignalPubKey, proto } from 'baileys'
import { AuthStore } from '../../src/engine/baileys/auth-store.ts'
import { createSharedLidCache, LidMap } from '../../src/engine/baileys/lid-map.ts'
import { RustSignalCore } from '../../src/engine/baileys/rust-signal-core.ts'
import { createSignalRepository } from '../../src/engine/baileys/signal-repository.ts'
import { KeyedQueue } from '../../src/kernel/keyed-queue.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { MemorySignalKeys } from './memory-signal-keys.ts'

/** Two devices that write to each other by way of one Signal core, with their keys in memory. */
export const DEVICE = 'd1'
const core = new RustSignalCore()

export const createSide = async (jid: string) => {
  const keys = new MemorySignalKeys()
  const auth = AuthStore.draft(DEVICE, keys)
  auth.creds.me = { id: jid, lid: jid }
  await auth.persist()
  const lidMap = new LidMap({
    deviceId: DEVICE,
    repository: keys,
    cache: createSharedLidCache(100),
    ask: async () => [],
  })
  const signal = createSignalRepository({
    deviceId: DEVICE,
    auth,
    repository: keys,
    core,
    lidMap,
    locks: new KeyedQueue(),
    logger: silentLogger,
    onRefused: () => undefined,
    onKeyFailure: (error) => assert.fail(error),
  })
  return { jid, keys, auth, lidMap, signal }
}

export type Side = Awaited<ReturnType<typeof createSide>>

export const bundleOf = async ({ auth }: Side, preKeyId: number) => {
  const preKey = Curve.generateKeyPair()
  await auth.keys.set({ 'pre-key': { [preKeyId]: preKey } })
  const { signedIdentityKey, signedPreKey, registrationId } = auth.creds
  const publicOf = (key: Uint8Array) => generateSignalPubKey(key) as Uint8Array
  return {
    registrationId,
    identityKey: publicOf(signedIdentityKey.public),
    signedPreKey: {
      keyId: signedPreKey.keyId,
      publicKey: publicOf(signedPreKey.keyPair.public),
      signature: signedPreKey.signature,
    },
    preKey: { keyId: preKeyId, publicKey: publicOf(preKey.public) },
  }
}

export const meet = async (): Promise<{ alice: Side; bob: Side }> => {
  const [alice, bob] = [await createSide('111@lid'), await createSide('222:3@lid')]
  await alice.signal.injectE2ESession({ jid: bob.jid, session: await bundleOf(bob, 7) })
  return { alice, bob }
}

export const PLAIN = Buffer.concat([proto.Message.encode({ conversation: 'hello' }).finish(), Buffer.from([1])])

export const encrypt = (from: Side, to: Side) => from.signal.encryptMessage({ jid: to.jid, data: PLAIN })

/** Nothing that was done before has cost the core anything: two who have just met understand each other. */
export const isHealthy = async (): Promise<void> => {
  const { alice, bob } = await meet()
  const sent = await encrypt(alice, bob)
  const opened = await bob.signal.decryptMessage({ jid: alice.jid, type: sent.type, ciphertext: sent.ciphertext })
  assert.deepEqual(Buffer.from(opened), PLAIN)
}
