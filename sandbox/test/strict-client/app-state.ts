// App state patches: every MAC and the LTHash computed and compared, as clients with MAC verification on do.
import { proto } from 'baileys/WAProto/index.js'
import { expand, hmac, openCbc, sameBytes, sealCbc } from './symmetric.ts'
import { demand } from './violation.ts'

/** What a client knows of one collection. */
export interface AppState {
  readonly version: number
  /** LTHash over all value MACs: 128 bytes. */
  readonly hash: Buffer
  /** Value MACs by index MAC (base64). */
  readonly values: ReadonlyMap<string, Buffer>
}

export interface Mutation {
  readonly index: readonly string[]
  readonly value: proto.ISyncActionValue
}

export const EMPTY: AppState = { version: 0, hash: Buffer.alloc(128), values: new Map() }

const SET = proto.SyncdMutation.SyncdOperation.SET
const MAC = 32

/** Writes one mutation as the next patch of a collection. */
export function writePatch(name: string, state: AppState, keyId: Buffer, key: Buffer, mutation: Mutation) {
  const keys = expandKey(key)
  const index = Buffer.from(JSON.stringify(mutation.index))
  const action = { index, value: mutation.value, padding: new Uint8Array(0), version: 2 }
  const sealed = sealCbc(keys.value, proto.SyncActionData.encode(action).finish())
  const valueMac = macOfValue(keys.valueMac, SET, keyId, sealed)
  const indexMac = hmac('sha256', keys.index, index)
  const next = applyMutations(state, [{ operation: SET, indexMac, valueMac }])
  const snapshotMac = macOfSnapshot(keys.snapshotMac, next, name)
  const patch = proto.SyncdPatch.encode({
    mutations: [
      {
        operation: SET,
        record: {
          index: { blob: indexMac },
          value: { blob: Buffer.concat([sealed, valueMac]) },
          keyId: { id: keyId },
        },
      },
    ],
    snapshotMac,
    patchMac: macOfPatch(keys.patchMac, snapshotMac, [valueMac], next.version, name),
    keyId: { id: keyId },
  }).finish()
  return { patch: Buffer.from(patch), next }
}

/** Opens a patch and verifies all of it. @throws Violation `app_state` */
export function readPatch(name: string, state: AppState, encoded: Uint8Array, keyOf: (id: Buffer) => Buffer) {
  const patch = proto.SyncdPatch.decode(encoded)
  const version = Number(patch.version?.version ?? 0)
  demand(version === state.version + 1, 'app_state', `patch ${version} after ${state.version} of ${name}`)
  const mutations: Mutation[] = []
  const changes = (patch.mutations ?? []).map(({ operation, record }) => {
    const keyId = Buffer.from(record?.keyId?.id ?? [])
    const keys = expandKey(keyOf(keyId))
    const blob = Buffer.from(record?.value?.blob ?? [])
    const [sealed, valueMac] = [blob.subarray(0, -MAC), blob.subarray(-MAC)]
    const kind = operation ?? SET
    const expected = macOfValue(keys.valueMac, kind, keyId, sealed)
    demand(sameBytes(valueMac, expected), 'app_state', `a value MAC in ${name}`)
    const { index, value } = proto.SyncActionData.decode(openCbc(keys.value, sealed))
    const indexMac = Buffer.from(record?.index?.blob ?? [])
    demand(sameBytes(indexMac, hmac('sha256', keys.index, index!)), 'app_state', `an index MAC in ${name}`)
    mutations.push({ index: JSON.parse(Buffer.from(index!).toString()) as string[], value: value! })
    return { operation: kind, indexMac, valueMac }
  })
  demand(changes.length > 0, 'app_state', `an empty patch of ${name}`)
  const keys = expandKey(keyOf(Buffer.from(patch.keyId?.id ?? [])))
  const next = applyMutations(state, changes)
  const snapshotMac = macOfSnapshot(keys.snapshotMac, next, name)
  demand(sameBytes(snapshotMac, patch.snapshotMac ?? Buffer.alloc(0)), 'app_state', `the snapshot MAC of ${name}`)
  const valueMacs = changes.map(({ valueMac }) => valueMac)
  const patchMac = macOfPatch(keys.patchMac, snapshotMac, valueMacs, version, name)
  demand(sameBytes(patchMac, patch.patchMac ?? Buffer.alloc(0)), 'app_state', `the patch MAC of ${name}`)
  return { next, mutations }
}

interface Change {
  readonly operation: proto.SyncdMutation.SyncdOperation
  readonly indexMac: Buffer
  readonly valueMac: Buffer
}

function applyMutations(state: AppState, changes: readonly Change[]): AppState {
  const values = new Map(state.values)
  const hash = Buffer.from(state.hash)
  for (const { operation, indexMac, valueMac } of changes) {
    const index = indexMac.toString('base64')
    const before = values.get(index)
    demand(before !== undefined || operation === SET, 'app_state', 'the removal of what was never set')
    if (before !== undefined) mixInto(hash, before, -1)
    if (operation === SET) {
      mixInto(hash, valueMac, 1)
      values.set(index, valueMac)
    } else values.delete(index)
  }
  return { version: state.version + 1, hash, values }
}

/** LTHash: 64 little-endian 16-bit sums of what HKDF makes of each value MAC. */
function mixInto(hash: Buffer, valueMac: Buffer, sign: 1 | -1): void {
  const expanded = expand(valueMac, 128, 'WhatsApp Patch Integrity')
  for (let offset = 0; offset < 128; offset += 2) {
    const sum = hash.readUInt16LE(offset) + sign * expanded.readUInt16LE(offset)
    hash.writeUInt16LE(sum & 0xffff, offset)
  }
}

function expandKey(key: Buffer) {
  const okm = expand(key, 160, 'WhatsApp Mutation Keys')
  const cut = (position: number) => okm.subarray(position * 32, position * 32 + 32)
  return { index: cut(0), value: cut(1), valueMac: cut(2), snapshotMac: cut(3), patchMac: cut(4) }
}

function macOfValue(key: Buffer, operation: number, keyId: Buffer, sealed: Buffer): Buffer {
  const associated = Buffer.concat([Buffer.of(operation === SET ? 1 : 2), keyId])
  return hmac('sha512', key, associated, sealed, uint64(associated.length)).subarray(0, MAC)
}

const macOfSnapshot = (key: Buffer, state: AppState, name: string): Buffer =>
  hmac('sha256', key, state.hash, uint64(state.version), Buffer.from(name))

const macOfPatch = (key: Buffer, snapshotMac: Buffer, values: readonly Buffer[], version: number, name: string) =>
  hmac('sha256', key, snapshotMac, ...values, uint64(version), Buffer.from(name))

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}
