import { createHash } from 'node:crypto'
import { jidDecode, type SignalRepositoryWithLIDStore } from 'baileys'
import { isParleyError, messageOf } from '../../kernel/errors.ts'
import type { KeyedQueue } from '../../kernel/keyed-queue.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { KeyCommit, KeyWrite, SignalKeyRepository } from '../../storage/index.ts'
import type { AuthStore } from './auth-store.ts'
import type { LidMap } from './lid-map.ts'
import type { OutputGate } from './output-gate.ts'
import { failureOfRelay } from './relay.ts'
import { isRepetition } from './rust-signal-core.ts'
import { formatAddress, type SignalAddress, type SignalCore, type SignalStore } from './signal-core.ts'
import { UnwrittenRecords } from './unwritten-records.ts'

/**
 * Signal sessions of one device, in place of Baileys' own repository.
 *
 * One lock per canonical address: a person's sessions live under the LID as soon as it is known, so a PN and a LID of the
 * same device never race. What an operation changes is committed before its result has any effect: a ciphertext leaves
 * the socket only after the ratchet that made it (`OutputGate`), a plaintext is used only after the ratchet that opened it
 * and the plaintext itself (the journal) are durable. Baileys' surrounding transactions play no part in it: they commit after sending.
 */
export interface RepositoryDeps {
  readonly deviceId: string
  readonly auth: AuthStore
  readonly repository: SignalKeyRepository
  readonly core: SignalCore
  readonly lidMap: LidMap
  readonly locks: KeyedQueue<string>
  /** Shared like the locks; one of its own when absent. */
  readonly unwritten?: UnwrittenRecords
  /** Holds what leaves the socket until the ratchets behind it are stored; without one an encryption waits itself. */
  readonly gate?: OutputGate
  readonly logger: Logger
  /** Told of every refusal of key material, for the metrics. */
  readonly onRefused: (what: 'message' | 'sender_key_message' | 'pre_key_bundle') => void
  /**
   * Told at once when keys could not be read or stored: Baileys takes it for the fault of one recipient, or goes on as if
   * nothing had happened, so the connection must end before it sends or acknowledges anything.
   */
  readonly onKeyFailure: (error: Error) => void
}

/** Baileys' text for a message whose key was used already: answered with a NACK and without a retry request. */
const KEYS_USED = 'Key used already or never filled'
/** Marks failures that are ours and not the sender's: the stanza must stay unacknowledged. */
export const STORAGE_FAILURE = 'parley:storage'
/** Marks what the database refused for what is in it: it would be refused again. */
export const STORAGE_REFUSAL = 'parley:refused'

export const createSignalRepository = (deps: RepositoryDeps): SignalRepositoryWithLIDStore => {
  const { deviceId, auth, repository, core, lidMap, locks, logger, gate, unwritten = new UnwrittenRecords() } = deps

  const canonical = async (jid: string, mayAsk: boolean): Promise<SignalAddress> => {
    if (!isPnServer(jid)) return toAddress(jid)
    const lid = mayAsk ? await lidMap.getLIDForPN(jid) : await lidMap.storedLid(jid)
    return toAddress(lid ?? jid)
  }

  const tellingFailures = async <R>(work: () => Promise<R>): Promise<R> => {
    try {
      return await work()
    } catch (thrown) {
      if (isParleyError(thrown) && !isParleyError(thrown, 'internal')) deps.onKeyFailure(thrown)
      throw thrown
    }
  }

  /** Runs one operation under the address' lock and commits what it changed. */
  const operate = <R>(
    address: SignalAddress | string,
    work: (unit: KeyUnit) => Promise<R>,
    journal?: (result: R) => NonNullable<KeyCommit['journal']>,
  ): Promise<R> => {
    const name = lockName(deviceId, address)
    return tellingFailures(() =>
      locks.run(name, async () => {
        await unwritten.settled(name)
        const unit = new KeyUnit(deviceId, auth, repository)
        const result = await unit.run(work)
        const entry = journal?.(result)
        if (unit.writes.length > 0 || entry) {
          const commit = entry ? { writes: unit.writes, journal: entry } : { writes: unit.writes }
          await repository.commit(deviceId, commit)
        }
        return result
      }),
    )
  }

  /** The same for an encryption: the lock is free again while its commit is under way, and the gate waits for it. */
  const operateAhead = <R>(address: SignalAddress, work: (unit: KeyUnit) => Promise<R>): Promise<R> => {
    const name = lockName(deviceId, address)
    return tellingFailures(async () => {
      const { result, committed } = await locks.run(name, async () => {
        const unit = new KeyUnit(deviceId, auth, repository, (type, id) => unwritten.find(name, type, id))
        const done = await unit.run(work)
        const commit = repository.commit(deviceId, { writes: unit.writes })
        unwritten.add(name, unit.writes, commit)
        return { result: done, committed: commit }
      })
      if (!gate) await committed
      else gate.hold(committed, failureOfRelay(deps.onKeyFailure))
      return result
    })
  }

  /** After a crash the ratchet has moved on; then the journal knows what the same ciphertext said. */
  const decryptOnce = async (
    address: SignalAddress | string,
    hash: string,
    what: 'message' | 'sender_key_message',
    open: (unit: KeyUnit) => Promise<Uint8Array>,
  ): Promise<Uint8Array> => {
    try {
      return await operate(address, open, (plaintext) => ({ hash, plaintext }))
    } catch (thrown) {
      if (isParleyError(thrown)) {
        const mark = isParleyError(thrown, 'internal') ? STORAGE_REFUSAL : STORAGE_FAILURE
        throw new Error(`${mark}: ${thrown.message}`, { cause: thrown })
      }
      const known = await repository.journal(deviceId, hash).catch((cause: unknown) => {
        throw new Error(`${STORAGE_FAILURE}: ${messageOf(cause)}`, { cause })
      })
      if (known) return known
      const message = messageOf(thrown)
      if (isRepetition(message)) throw new Error(KEYS_USED, { cause: thrown })
      deps.onRefused(what)
      throw thrown instanceof Error ? thrown : new Error(message)
    }
  }

  const removeSessions = async (jids: readonly string[]): Promise<void> => {
    const addresses = await Promise.all(jids.map((jid) => canonical(jid, false)))
    await Promise.all(
      addresses.map((address) =>
        operate(address, async (unit) => unit.write('session', formatAddress(address), undefined)),
      ),
    )
  }

  return {
    // Baileys types this as its own class, of which it calls only these methods
    lidMapping: lidMap as unknown as SignalRepositoryWithLIDStore['lidMapping'],

    async decryptMessage({ jid, type, ciphertext }) {
      const address = await canonical(jid, false)
      const hash = hashOf(formatAddress(address), type, ciphertext)
      return decryptOnce(address, hash, 'message', (unit) => core.decrypt(unit, address, { type, body: ciphertext }))
    },

    async decryptGroupMessage({ group, authorJid, msg }) {
      const sender = await canonical(authorJid, false)
      const hash = hashOf(`${group}|${formatAddress(sender)}`, 'skmsg', msg)
      return decryptOnce(core.senderKeyId(group, sender), hash, 'sender_key_message', (unit) =>
        core.decryptGroup(unit, group, sender, msg),
      )
    },

    async encryptMessage({ jid, data }) {
      const address = await canonical(jid, true)
      const { type, body } = await operateAhead(address, (unit) => core.encrypt(unit, address, data))
      return { type, ciphertext: body }
    },

    async encryptGroupMessage({ group, meId, data }) {
      const sender = await canonical(meId, false)
      return operate(core.senderKeyId(group, sender), async (unit) => {
        const senderKeyDistributionMessage = await core.createDistribution(unit, group, sender)
        const ciphertext = await core.encryptGroup(unit, group, sender, data)
        return { senderKeyDistributionMessage, ciphertext }
      })
    },

    async getSenderKeyDistributionMessage({ group, meId }) {
      const sender = await canonical(meId, false)
      return operate(core.senderKeyId(group, sender), (unit) => core.createDistribution(unit, group, sender))
    },

    async processSenderKeyDistributionMessage({ item, authorJid }) {
      const { groupId: group, axolotlSenderKeyDistributionMessage: message } = item
      if (!group || !message) throw new Error('a sender key distribution message lacks its group or its key')
      const sender = await canonical(authorJid, false)
      await operate(core.senderKeyId(group, sender), (unit) => core.processDistribution(unit, group, sender, message))
    },

    async hasSenderKey({ group, meId }) {
      const id = core.senderKeyId(group, await canonical(meId, false))
      return (await repository.get(deviceId, 'sender-key', [id])).has(id)
    },

    /** Tolerant of one bad device: a bundle that does not hold costs that device its copy, not everybody the message. */
    async injectE2ESession({ jid, session }) {
      const address = await canonical(jid, false)
      try {
        await operate(address, async (unit) => {
          const bundle = {
            registrationId: session.registrationId,
            identityKey: session.identityKey,
            signedPreKey: session.signedPreKey,
            ...(session.preKey ? { preKey: session.preKey } : {}),
          }
          await core.processBundle(unit, address, bundle)
        })
      } catch (thrown) {
        if (isParleyError(thrown)) throw thrown
        deps.onRefused('pre_key_bundle')
        logger.warn({ jid, reason: messageOf(thrown) }, 'refused a pre-key bundle; this device gets no copy')
      }
    },

    async getSessionInfo(jid) {
      const id = formatAddress(await canonical(jid, false))
      const record = (await repository.get(deviceId, 'session', [id])).get(id)
      if (!record) return null
      const { registrationId, baseKey } = core.readSession(record)
      return registrationId === undefined || !baseKey ? null : { registrationId, baseKey: new Uint8Array(baseKey) }
    },

    async validateSession(jid) {
      const id = formatAddress(await canonical(jid, false))
      const record = (await repository.get(deviceId, 'session', [id])).get(id)
      if (!record) return { exists: false, reason: 'no session' }
      return core.isOpen(record) ? { exists: true } : { exists: false, reason: 'no open session' }
    },

    /** Synchronous by contract; Baileys uses it to name the row it deletes on a retry. */
    jidToSignalProtocolAddress(jid) {
      return formatAddress(toAddress(isPnServer(jid) ? (lidMap.cachedLid(jid) ?? jid) : jid))
    },

    /** Moves the sessions of a person's devices from the PN to the LID, each only where the LID has none yet. */
    async migrateSession(fromJid, toJid) {
      const from = jidDecode(fromJid)
      const to = jidDecode(toJid)
      if (!from || !to || !isPnServer(fromJid) || !isLidServer(toJid)) return { migrated: 0, skipped: 0, total: 0 }
      const listed = await auth.keys.get('device-list', [from.user])
      const devices = new Set([...(listed[from.user] ?? []).map(Number), from.device ?? 0])
      let migrated = 0
      for (const device of devices) {
        const pnId = `${from.user}.${device}`
        const lidId = `${to.user}_1.${device}`
        const held = (await repository.get(deviceId, 'session', [pnId])).has(pnId)
        if (!held) continue
        await operate(lidId, async (unit) => {
          const rows = await repository.get(deviceId, 'session', [pnId, lidId])
          const record = rows.get(pnId)
          if (!record) return
          if (!rows.has(lidId)) {
            unit.write('session', lidId, record)
            migrated++
          }
          unit.write('session', pnId, undefined)
        })
      }
      return { migrated, skipped: devices.size - migrated, total: devices.size }
    },

    deleteSession: removeSessions,
    close: () => lidMap.close(),
  }
}

/** Reads through to the repository; collects writes until the operation is done. */
class KeyUnit implements SignalStore {
  readonly writes: KeyWrite[] = []
  readonly #deviceId: string
  readonly #auth: AuthStore
  readonly #repository: SignalKeyRepository
  /** What a read failed with: the core makes something else of it, or takes it for "there is none". */
  #failure: unknown

  readonly #unwritten:
    | ((type: string, id: string) => { readonly value: Uint8Array | undefined } | undefined)
    | undefined

  constructor(
    deviceId: string,
    auth: AuthStore,
    repository: SignalKeyRepository,
    /** What is newer than in the repository. */
    unwritten?: (type: string, id: string) => { readonly value: Uint8Array | undefined } | undefined,
  ) {
    this.#deviceId = deviceId
    this.#auth = auth
    this.#repository = repository
    this.#unwritten = unwritten
  }

  /** @throws the storage's error when a read failed, whatever the work made of it */
  async run<R>(work: (unit: KeyUnit) => Promise<R>): Promise<R> {
    try {
      const result = await work(this)
      if (this.#failure === undefined) return result
    } catch (thrown) {
      if (this.#failure === undefined) throw thrown
    }
    throw this.#failure
  }

  write(type: string, id: string, value: Uint8Array | undefined): void {
    const at = this.writes.findIndex((write) => write.type === type && write.id === id)
    if (at >= 0) this.writes[at] = { type, id, value }
    else this.writes.push({ type, id, value })
  }

  loadSession(address: string): Promise<Uint8Array | undefined> {
    return this.#read('session', address)
  }

  storeSession(address: string, record: Uint8Array): void {
    this.write('session', address, record)
  }

  async loadPreKey(id: number): Promise<{ pubKey: Uint8Array; privKey: Uint8Array } | undefined> {
    const pair = (await this.#watch(async () => this.#auth.keys.get('pre-key', [String(id)])))[String(id)]
    return pair && { pubKey: withTypeByte(pair.public), privKey: Buffer.from(pair.private) }
  }

  removePreKey(id: number): void {
    this.write('pre-key', String(id), undefined)
  }

  loadSignedPreKey(id: number): ReturnType<SignalStore['loadSignedPreKey']> {
    const { signedPreKey } = this.#auth.creds
    const { public: pub, private: priv } = signedPreKey.keyPair
    return {
      keyId: id,
      keyPair: { pubKey: withTypeByte(pub), privKey: Buffer.from(priv) },
      signature: Buffer.from(signedPreKey.signature),
    }
  }

  loadSenderKey(id: string): Promise<Uint8Array | undefined> {
    return this.#read('sender-key', id)
  }

  storeSenderKey(id: string, record: Uint8Array): void {
    this.write('sender-key', id, record)
  }

  identity(): { pubKey: Uint8Array; privKey: Uint8Array } {
    const { public: pub, private: priv } = this.#auth.creds.signedIdentityKey
    return { pubKey: withTypeByte(pub), privKey: Buffer.from(priv) }
  }

  registrationId(): number {
    return this.#auth.creds.registrationId
  }

  async #read(type: string, id: string): Promise<Uint8Array | undefined> {
    const written = this.writes.find((write) => write.type === type && write.id === id)
    if (written) return written.value
    const newer = this.#unwritten?.(type, id)
    if (newer) return newer.value
    return (await this.#watch(() => this.#repository.get(this.#deviceId, type, [id]))).get(id)
  }

  async #watch<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read()
    } catch (error) {
      this.#failure ??= error
      throw error
    }
  }
}

const lockName = (deviceId: string, address: SignalAddress | string): string =>
  `${deviceId}|${typeof address === 'string' ? address : formatAddress(address)}`

const withTypeByte = (key: Uint8Array): Buffer =>
  key.length === 33 ? Buffer.from(key) : Buffer.concat([Buffer.from([5]), key])

const isPnServer = (jid: string) => jid.endsWith('@s.whatsapp.net') || jid.endsWith('@hosted')
const isLidServer = (jid: string) => jid.endsWith('@lid') || jid.endsWith('@hosted.lid')

/** Baileys' notation: the domain (LID = 1, hosted = 128, hosted LID = 129) is appended to the user. */
const toAddress = (jid: string): SignalAddress => {
  const decoded = jidDecode(jid)
  if (!decoded?.user) throw new Error(`no Signal address in JID "${jid}"`)
  const { user, device, domainType } = decoded
  return { name: domainType ? `${user}_${domainType}` : user, deviceId: device ?? 0 }
}

const hashOf = (address: string, type: string, ciphertext: Uint8Array): string =>
  createHash('sha256').update(`${address}|${type}|`).update(ciphertext).digest('base64')
