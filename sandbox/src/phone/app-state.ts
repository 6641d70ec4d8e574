// The phone's side of app state: how its chats stand, shared with its companions in encrypted patches. Every MAC and the
// LTHash of what companions upload are checked; what the phone changes itself has them right.
import { createHmac, randomBytes } from 'node:crypto'
import { proto } from 'baileys/WAProto/index.js'
import { decryptCbc, encryptCbc, equalBytes, hkdf } from '../crypto/symmetric.ts'
import type { MediaDepot } from '../media/media-depot.ts'
import { SERVICE_JID } from '../wire/jid.ts'
import { type BinaryNode, bytesOf, child, children, node } from '../wire/node.ts'
import type { AppStateKey } from './history.ts'
import type { StanzaClient } from './stanza-client.ts'

interface Collection {
  readonly version: number
  /** LTHash over all value MACs: 128 bytes. */
  readonly hash: Buffer
  /** Value MACs by index MAC (base64). */
  readonly values: ReadonlyMap<string, Buffer>
}

/** A change as it stands in a patch, decrypted. */
export interface AppStateMutation {
  readonly collection: string
  readonly operation: 'set' | 'remove'
  readonly index: readonly string[]
  readonly value: Readonly<Record<string, unknown>>
}

export interface PhoneAppStateOptions {
  readonly client: StanzaClient
  /** Where changes go that are not to travel inside their patch. */
  readonly media: Pick<MediaDepot, 'place'>
  readonly keys: () => readonly AppStateKey[]
  readonly problem: (text: string) => void
  /** Called for each mutation, own ones included, in order. */
  readonly onMutation: (mutation: AppStateMutation, own: boolean) => void
}

const { SET } = proto.SyncdMutation.SyncdOperation
const EMPTY: Collection = { version: 0, hash: Buffer.alloc(128), values: new Map() }
const MAC = 32
const MAX_TRIES = 5

export class PhoneAppState {
  readonly #options: PhoneAppStateOptions
  readonly #collections = new Map<string, Collection>()
  #work: Promise<unknown> = Promise.resolve()

  constructor(options: PhoneAppStateOptions) {
    this.#options = options
  }

  /** Fetches what companions changed. */
  sync(name: string): Promise<void> {
    return this.#inTurn(() => this.#download(name))
  }

  /** Makes a change of the phone's own. @throws StanzaError, NoAnswerError, OfflineError */
  change(name: string, index: readonly string[], value: proto.ISyncActionValue, version: number): Promise<void> {
    return this.#inTurn(async () => {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        await this.#download(name)
        if (await this.#upload(name, index, value, version)) return
      }
      throw new Error(`companions kept changing ${name}`)
    })
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#work.then(task)
    this.#work = done.catch(() => undefined)
    return done
  }

  async #download(name: string): Promise<void> {
    const { version } = this.#collections.get(name) ?? EMPTY
    const collection = await this.#exchange(node('collection', { name, version, return_snapshot: 'false' }))
    for (const patch of children(child(collection, 'patches'), 'patch')) this.#read(name, bytesOf(patch)!)
  }

  async #upload(name: string, index: readonly string[], value: proto.ISyncActionValue, actionVersion: number) {
    const before = this.#collections.get(name) ?? EMPTY
    const key = this.#options.keys().at(-1)!
    const keys = expandKey(key.data)
    const indexBytes = Buffer.from(JSON.stringify(index))
    const action = { index: indexBytes, value, padding: new Uint8Array(0), version: actionVersion }
    const iv = randomBytes(16)
    const sealed = Buffer.concat([iv, encryptCbc(keys.value, iv, proto.SyncActionData.encode(action).finish())])
    const valueMac = macOfValue(keys.valueMac, SET, key.id, sealed)
    const indexMac = hmac('sha256', keys.index, indexBytes)
    const after = mix(before, [{ operation: SET, indexMac, valueMac }])
    const snapshotMac = macOfSnapshot(keys.snapshotMac, after, name)
    const sealedValue = { blob: Buffer.concat([sealed, valueMac]) }
    const mutations = [
      { operation: SET, record: { index: { blob: indexMac }, value: sealedValue, keyId: { id: key.id } } },
    ]
    const blob = Buffer.from(proto.SyncdMutations.encode({ mutations }).finish())
    const placed = this.#options.media.place('md-app-state', blob)
    const patch = proto.SyncdPatch.encode({
      ...(placed === undefined
        ? { mutations }
        : { externalMutations: { ...placed, fileSizeBytes: placed.fileLength } }),
      snapshotMac,
      patchMac: macOfPatch(keys.patchMac, snapshotMac, [valueMac], after.version, name),
      keyId: { id: key.id },
    }).finish()
    const request = node('collection', { name, version: before.version, return_snapshot: 'false' }, [
      node('patch', {}, Buffer.from(patch)),
    ])
    const answer = await this.#exchange(request)
    if (answer?.attrs.type === 'error') return false
    this.#collections.set(name, after)
    this.#options.onMutation({ collection: name, operation: 'set', index, value: plain(value) }, true)
    return true
  }

  async #exchange(collection: BinaryNode): Promise<BinaryNode | undefined> {
    const answer = await this.#options.client.query('set', 'w:sync:app:state', SERVICE_JID, [
      node('sync', {}, [collection]),
    ])
    return child(child(answer, 'sync'), 'collection')
  }

  /** Opens a patch and checks all of it; one that does not hold is a problem, and is not applied. */
  #read(name: string, encoded: Uint8Array): unknown {
    const before = this.#collections.get(name) ?? EMPTY
    const patch = proto.SyncdPatch.decode(encoded)
    const refuse = (what: string) =>
      this.#options.problem(`app state: ${what} in patch ${before.version + 1} of ${name}`)
    const changes: Change[] = []
    const mutations: AppStateMutation[] = []
    for (const { operation, record } of patch.mutations ?? []) {
      const keyId = Buffer.from(record?.keyId?.id ?? [])
      const key = this.#keyOf(keyId)
      if (key === undefined) return refuse('an unknown key')
      const keys = expandKey(key.data)
      const blob = Buffer.from(record?.value?.blob ?? [])
      const [sealed, valueMac] = [blob.subarray(0, -MAC), blob.subarray(-MAC)]
      const kind = operation ?? SET
      if (!equalBytes(valueMac, macOfValue(keys.valueMac, kind, keyId, sealed))) return refuse('a wrong value MAC')
      const { index, value } = proto.SyncActionData.decode(
        decryptCbc(keys.value, sealed.subarray(0, 16), sealed.subarray(16)),
      )
      const indexMac = Buffer.from(record?.index?.blob ?? [])
      if (!equalBytes(indexMac, hmac('sha256', keys.index, index!))) return refuse('a wrong index MAC')
      changes.push({ operation: kind, indexMac, valueMac })
      const parsed = JSON.parse(Buffer.from(index!).toString()) as string[]
      mutations.push({
        collection: name,
        operation: kind === SET ? 'set' : 'remove',
        index: parsed,
        value: plain(value ?? {}),
      })
    }
    const key = this.#keyOf(Buffer.from(patch.keyId?.id ?? []))
    if (key === undefined) return refuse('an unknown key')
    const keys = expandKey(key.data)
    const after = mix(before, changes)
    const snapshotMac = macOfSnapshot(keys.snapshotMac, after, name)
    if (!equalBytes(snapshotMac, patch.snapshotMac ?? Buffer.alloc(0))) return refuse('a wrong snapshot MAC (LTHash)')
    const valueMacs = changes.map(({ valueMac }) => valueMac)
    const patchMac = macOfPatch(keys.patchMac, snapshotMac, valueMacs, after.version, name)
    if (!equalBytes(patchMac, patch.patchMac ?? Buffer.alloc(0))) return refuse('a wrong patch MAC')
    this.#collections.set(name, after)
    for (const mutation of mutations) this.#options.onMutation(mutation, false)
    return undefined
  }

  #keyOf(id: Buffer): AppStateKey | undefined {
    return this.#options.keys().find((key) => key.id.equals(id))
  }
}

interface Change {
  readonly operation: proto.SyncdMutation.SyncdOperation
  readonly indexMac: Buffer
  readonly valueMac: Buffer
}

function mix(before: Collection, changes: readonly Change[]): Collection {
  const values = new Map(before.values)
  const hash = Buffer.from(before.hash)
  for (const { operation, indexMac, valueMac } of changes) {
    const index = indexMac.toString('base64')
    const replaced = values.get(index)
    if (replaced !== undefined) addTo(hash, replaced, -1)
    if (operation === SET) {
      addTo(hash, valueMac, 1)
      values.set(index, valueMac)
    } else values.delete(index)
  }
  return { version: before.version + 1, hash, values }
}

/** LTHash: 64 little-endian 16-bit sums of what HKDF makes of each value MAC. */
function addTo(hash: Buffer, valueMac: Buffer, sign: 1 | -1): void {
  const expanded = hkdf(valueMac, 128, { info: 'WhatsApp Patch Integrity' })
  for (let offset = 0; offset < 128; offset += 2) {
    hash.writeUInt16LE((hash.readUInt16LE(offset) + sign * expanded.readUInt16LE(offset)) & 0xffff, offset)
  }
}

function expandKey(key: Buffer) {
  const okm = hkdf(key, 160, { info: 'WhatsApp Mutation Keys' })
  const cut = (position: number) => okm.subarray(position * 32, position * 32 + 32)
  return { index: cut(0), value: cut(1), valueMac: cut(2), snapshotMac: cut(3), patchMac: cut(4) }
}

function hmac(hash: 'sha256' | 'sha512', key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  const made = createHmac(hash, key)
  for (const part of parts) made.update(part)
  return made.digest()
}

function macOfValue(key: Buffer, operation: number, keyId: Buffer, sealed: Buffer): Buffer {
  const associated = Buffer.concat([Buffer.of(operation === SET ? 1 : 2), keyId])
  return hmac('sha512', key, associated, sealed, uint64(associated.length)).subarray(0, MAC)
}

const macOfSnapshot = (key: Buffer, { hash, version }: Collection, name: string): Buffer =>
  hmac('sha256', key, hash, uint64(version), Buffer.from(name))

const macOfPatch = (key: Buffer, snapshotMac: Buffer, values: readonly Buffer[], version: number, name: string) =>
  hmac('sha256', key, snapshotMac, ...values, uint64(version), Buffer.from(name))

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

const plain = (value: proto.ISyncActionValue): Readonly<Record<string, unknown>> =>
  proto.SyncActionValue.toObject(proto.SyncActionValue.fromObject(value), {
    longs: Number,
    enums: String,
    bytes: String,
  })
