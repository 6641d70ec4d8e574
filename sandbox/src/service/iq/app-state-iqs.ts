import { proto } from 'baileys/WAProto/index.js'
import { type BinaryNode, bytesOf, child, children, node } from '../../wire/node.ts'
import { COLLECTIONS } from '../app-state-store.ts'
import type { IqCall, IqHandler, IqHandlers } from './iq-router.ts'

const sync: IqHandler = (call) => {
  const collections = children(call.request, 'collection')
  const unknown = collections.find(({ attrs }) => !COLLECTIONS.has(attrs.name ?? ''))
  if (unknown !== undefined) return call.error(400, `unknown collection ${unknown.attrs.name}`)
  const unreadable = collections.find((collection) => !isReadable(bytesOf(child(collection, 'patch'))))
  if (unreadable !== undefined) return call.error(400, `the patch of ${unreadable.attrs.name} is no SyncdPatch`)
  const changed: BinaryNode[] = []
  const answers = collections.map((collection) => syncOne(call, collection, changed))
  call.result([node('sync', {}, answers)])
  if (changed.length === 0) return
  const { account } = call.device
  const t = Math.floor(call.context.clock() / 1000)
  for (const other of account.devices.values()) {
    if (other !== call.device) call.context.mailroom.notify(other, 'server_sync', { from: account.jid, t }, changed)
  }
}

/** Bytes of a value's MAC, which stands behind the value. */
const MAC = 32

export const appStateHandlers: IqHandlers = { 'w:sync:app:state set sync': sync }

function syncOne(call: IqCall, collection: BinaryNode, changed: BinaryNode[]): BinaryNode {
  const { account } = call.device
  const { appState } = call.context
  const name = collection.attrs.name!
  const theirs = Number(collection.attrs.version ?? 0)
  const ours = appState.version(account, name)
  const patch = bytesOf(child(collection, 'patch'))
  if (patch !== undefined) {
    // Somebody else was first: the client fetches what it lacks and tries again.
    if (theirs !== ours) {
      return node('collection', { name, type: 'error', version: ours }, [
        node('error', { code: 409, text: 'conflict' }),
        ...patchNodes(call, name, theirs),
      ])
    }
    const version = appState.append(account, name, patch)
    changed.push(node('collection', { name, version }))
    return node('collection', { name, version })
  }
  return node('collection', { name, version: ours }, patchNodes(call, name, Math.min(theirs, ours)))
}

function isReadable(patch: Uint8Array | undefined): boolean {
  try {
    if (patch !== undefined) proto.SyncdPatch.decode(patch)
    return true
  } catch (error) {
    if (error instanceof Error) return false
    throw error
  }
}

/** The patch as it is, or as an armed fault has it; phones always get theirs as it is. */
function tampered({ device, context: { faults } }: IqCall, patch: proto.ISyncdPatch): proto.ISyncdPatch {
  if (!faults.armed || device.id === 0) return patch
  const { account } = device
  const { snapshotMac, patchMac, mutations = [] } = patch
  const [record, ...others] = (mutations ?? []).map((mutation) => mutation.record!)
  const blob = Buffer.from(record?.value?.blob ?? [])
  const [sealed, valueMac] = [blob.subarray(0, -MAC), blob.subarray(-MAC)]
  const value = [
    faults.tamper('app_state_value', account, sealed),
    faults.tamper('app_state_value_mac', account, valueMac),
  ]
  const index = faults.tamper('app_state_index_mac', account, record?.index?.blob ?? Buffer.alloc(0))
  const first = { ...record, index: { blob: index }, value: { blob: Buffer.concat(value) } }
  return {
    ...patch,
    patchMac: faults.tamper('app_state_patch_mac', account, patchMac!),
    snapshotMac: faults.tamper('app_state_snapshot_mac', account, snapshotMac!),
    ...(record && { mutations: [first, ...others].map((one, i) => ({ ...mutations![i], record: one })) }),
  }
}

/** The service numbers the patches: what is stored is as the client wrote it. */
function patchNodes(call: IqCall, name: string, after: number): BinaryNode[] {
  const newer = call.context.appState.after(call.device.account, name, after)
  if (newer.length === 0) return []
  const patches = newer.map(({ version, patch }) => {
    const numbered = tampered(call, { ...proto.SyncdPatch.decode(patch), version: { version } })
    return node('patch', {}, Buffer.from(proto.SyncdPatch.encode(numbered).finish()))
  })
  return [node('patches', {}, patches)]
}
