import {
  type AuthenticationCreds,
  initAuthCreds,
  type SignalDataSet,
  type SignalDataTypeMap,
  type SignalKeyStore,
} from 'baileys'
import { ParleyError } from '../../kernel/errors.ts'
import type { KeyWrite, SignalKeyRepository } from '../../storage/index.ts'
import { decodeCredentials, decodeKey, encodeCredentials, encodeKey } from './key-codec.ts'

/** Baileys appends to this list for ever; it only needs the recent ones to recognise repetitions. */
const HISTORY_MESSAGES_KEPT = 50

/** @throws data_damaged */
const readCredentials = (stored: Uint8Array): AuthenticationCreds => {
  try {
    const creds = decodeCredentials<AuthenticationCreds>(stored)
    if (creds.signedIdentityKey.private.length === 32 && creds.noiseKey.private.length === 32) return creds
  } catch (cause) {
    throw new ParleyError('data_damaged', 'the stored credentials cannot be read', { cause })
  }
  throw new ParleyError('data_damaged', 'the stored credentials lack their keys')
}

/**
 * Credentials and keys of one device as Baileys wants them, on the key repository.
 *
 * A device that is being linked is a draft: nothing is written until the phone has agreed (`persist`), so that an
 * abandoned or crashed linking leaves no half-made account behind. Then one transaction holds it all.
 */
export class AuthStore {
  readonly creds: AuthenticationCreds
  readonly keys: SignalKeyStore
  readonly #deviceId: string
  readonly #repository: SignalKeyRepository
  #draft: Map<string, KeyWrite> | undefined
  #saving: Promise<void> | undefined
  #pending = new Set<Promise<void>>()

  private constructor(deviceId: string, repository: SignalKeyRepository, creds: AuthenticationCreds, draft: boolean) {
    this.#deviceId = deviceId
    this.#repository = repository
    this.creds = creds
    this.#draft = draft ? new Map() : undefined
    this.keys = {
      get: (type, ids) => this.#get(type, ids),
      set: (data) => this.#set(data),
    }
  }

  /** The stored account, or undefined when the device has none. */
  static async load(deviceId: string, repository: SignalKeyRepository): Promise<AuthStore | undefined> {
    const stored = await repository.credentials(deviceId)
    return stored && new AuthStore(deviceId, repository, readCredentials(stored), false)
  }

  /** Fresh credentials for linking. */
  static draft(deviceId: string, repository: SignalKeyRepository): AuthStore {
    return new AuthStore(deviceId, repository, initAuthCreds(), true)
  }

  get isDraft(): boolean {
    return this.#draft !== undefined
  }

  /** The phone agreed: everything becomes durable in one transaction, replacing what an earlier account left. */
  async persist(): Promise<void> {
    const draft = this.#draft
    if (!draft) return this.save()
    this.#draft = undefined
    await this.#track(
      this.#repository
        .forget(this.#deviceId)
        .then(() =>
          this.#repository.commit(this.#deviceId, { writes: [...draft.values()], credentials: this.#encoded() }),
        ),
    )
  }

  /** Writes the credentials; calls made in the same turn of the event loop share one write. */
  save(): Promise<void> {
    if (this.#draft) return Promise.resolve()
    this.#saving ??= this.#track(
      Promise.resolve().then(() => {
        this.#saving = undefined
        return this.#repository.commit(this.#deviceId, { writes: [], credentials: this.#encoded() })
      }),
    )
    return this.#saving
  }

  /** Resolves when all writes that were begun are durable. @throws the first failure among them */
  async settled(): Promise<void> {
    await Promise.all([...this.#pending])
  }

  #encoded(): Uint8Array {
    const { processedHistoryMessages: seen } = this.creds
    if (seen.length > HISTORY_MESSAGES_KEPT) seen.splice(0, seen.length - HISTORY_MESSAGES_KEPT)
    return encodeCredentials(this.creds)
  }

  async #get<T extends keyof SignalDataTypeMap>(type: T, ids: string[]): Promise<Record<string, SignalDataTypeMap[T]>> {
    const found: Record<string, SignalDataTypeMap[T]> = {}
    if (this.#draft) {
      for (const id of ids) {
        const value = this.#draft.get(`${type}|${id}`)?.value
        if (value) found[id] = decodeKey(type, value)
      }
      return found
    }
    for (const [id, value] of await this.#repository.get(this.#deviceId, type, ids)) found[id] = decodeKey(type, value)
    return found
  }

  async #set(data: SignalDataSet): Promise<void> {
    const writes: KeyWrite[] = []
    for (const [type, entries] of Object.entries(data))
      for (const [id, value] of Object.entries(entries ?? {}))
        writes.push({ type, id, value: value === null || value === undefined ? undefined : encodeKey(type, value) })
    if (writes.length === 0) return
    if (this.#draft) {
      for (const write of writes) this.#draft.set(`${write.type}|${write.id}`, write)
      return
    }
    // creds count the pre-keys: losing one without the other means reused pre-key ids, so they go together
    const commit = data['pre-key'] ? { writes, credentials: this.#encoded() } : { writes }
    await this.#track(this.#repository.commit(this.#deviceId, commit))
  }

  #track(work: Promise<void>): Promise<void> {
    this.#pending.add(work)
    const done = () => this.#pending.delete(work)
    work.then(done, done)
    return work
  }
}
