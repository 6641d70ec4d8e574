import type { BinaryNode } from '../wire/node.ts'
import { type Account, Device } from './account.ts'
import { COLLECTIONS } from './app-state-store.ts'
import type { Group, Role } from './groups.ts'
import type { CompanionProps, DeviceKeys } from './peer.ts'
import type { Service } from './service.ts'

/** Everything the service must not forget across a restart, as plain data (bytes are Uint8Arrays). */
export interface ServiceSnapshot {
  readonly accounts: readonly AccountSnapshot[]
  readonly groups: readonly GroupSnapshot[]
}

interface AccountSnapshot {
  readonly pn: string
  readonly lid: string
  readonly pushName: string
  readonly about: string
  readonly platform: string
  readonly businessName: string | undefined
  readonly maxCompanions: number
  readonly addressing: Account['addressing']
  readonly defaultTimer: Account['defaultTimer']
  readonly createdAt: number
  readonly blocked: readonly string[]
  readonly privacy: readonly (readonly [string, string])[]
  readonly signedKeyIndexes: Uint8Array | undefined
  readonly keyIndexesAt: number
  readonly nextDeviceId: number
  readonly nextKeyIndex: number
  readonly devices: readonly DeviceSnapshot[]
  /** Numbers of the accounts that were given its device list. */
  readonly readers: readonly string[]
  readonly appState: readonly (readonly [string, readonly Uint8Array[]])[]
}

interface DeviceSnapshot {
  readonly id: number
  readonly keyIndex: number
  readonly keys: DeviceKeys
  readonly props: CompanionProps | undefined
  readonly noiseKey: Uint8Array | undefined
  readonly signedIdentity: Uint8Array | undefined
  readonly toldPreKeysLow: boolean
  readonly queue: readonly BinaryNode[]
}

interface GroupSnapshot extends Omit<Group, 'creator' | 'subjectBy' | 'members'> {
  readonly creator: string
  readonly subjectBy: string
  readonly members: readonly (readonly [string, Role])[]
}

export function takeSnapshot(service: Service): ServiceSnapshot {
  return {
    accounts: service.accounts.list().map((account) => saveAccount(service, account)),
    groups: service.groups.list().map((group) => ({
      ...group,
      creator: group.creator.pn,
      subjectBy: group.subjectBy.pn,
      members: Array.from(group.members, ([member, role]) => [member.pn, role] as const),
    })),
  }
}

/** Fills a service that is still empty. Throws when the snapshot does not hold together. */
export function restoreSnapshot(service: Service, snapshot: ServiceSnapshot): void {
  for (const saved of snapshot.accounts) restoreAccount(service, saved)
  const byPn = (pn: string): Account => {
    const account = service.accounts.byPn(pn)
    if (account === undefined) throw new Error(`the saved state names ${pn}, who is not in it`)
    return account
  }
  for (const { pn, readers } of snapshot.accounts) {
    for (const reader of readers) service.directory.noteReader(byPn(pn), byPn(reader))
  }
  for (const group of snapshot.groups) {
    service.groups.restore({
      ...group,
      creator: byPn(group.creator),
      subjectBy: byPn(group.subjectBy),
      members: new Map(group.members.map(([pn, role]) => [byPn(pn), role])),
    })
  }
}

function saveAccount(service: Service, account: Account): AccountSnapshot {
  const { pn, lid, pushName, about, platform, businessName, maxCompanions, addressing, defaultTimer, createdAt } =
    account
  const { signedKeyIndexes, keyIndexesAt, nextDeviceId, nextKeyIndex } = account
  return {
    pn,
    lid,
    pushName,
    about,
    platform,
    businessName,
    maxCompanions,
    addressing,
    defaultTimer,
    createdAt,
    signedKeyIndexes,
    keyIndexesAt,
    nextDeviceId,
    nextKeyIndex,
    blocked: [...account.blocked],
    privacy: [...account.privacy],
    devices: Array.from(account.devices.values(), saveDevice),
    readers: service.directory.readersOf(account).map((reader) => reader.pn),
    appState: Array.from(COLLECTIONS, (name) => {
      const patches = service.appState.after(account, name, 0)
      return [name, patches.map(({ patch }) => patch)] as const
    }),
  }
}

function saveDevice(device: Device): DeviceSnapshot {
  const { id, keyIndex, identity, registrationId, signedPreKey, props, noiseKey, signedIdentity, toldPreKeysLow } =
    device
  const preKeys = Array.from(device.preKeys, ([keyId, key]) => ({ id: keyId, public: key }))
  const keys = { identity, registrationId, signedPreKey, preKeys }
  return { id, keyIndex, keys, props, noiseKey, signedIdentity, toldPreKeysLow, queue: device.queue.list() }
}

function restoreAccount(service: Service, saved: AccountSnapshot): void {
  const [phone, ...companions] = saved.devices
  if (phone?.id !== 0) throw new Error(`the saved state of ${saved.pn} lacks its phone`)
  const { pn, lid, pushName, about, platform, businessName, maxCompanions } = saved
  const business = businessName === undefined ? {} : { businessName }
  const spec = { pn, lid, pushName, about, platform, maxCompanions, primary: phone.keys, ...business }
  const account = service.accounts.create(spec, saved.createdAt)
  account.addressing = saved.addressing
  account.defaultTimer = saved.defaultTimer
  account.signedKeyIndexes = saved.signedKeyIndexes
  account.keyIndexesAt = saved.keyIndexesAt
  account.nextDeviceId = saved.nextDeviceId
  account.nextKeyIndex = saved.nextKeyIndex
  for (const lidOfBlocked of saved.blocked) account.blocked.add(lidOfBlocked)
  for (const [name, value] of saved.privacy) account.privacy.set(name, value)
  restoreDevice(account.phone, phone)
  for (const companion of companions) {
    const device = new Device(account, companion.id, companion.keyIndex, companion.keys, companion.props)
    restoreDevice(device, companion)
    account.devices.set(device.id, device)
  }
  for (const [name, patches] of saved.appState) {
    for (const patch of patches) service.appState.append(account, name, patch)
  }
}

function restoreDevice(device: Device, saved: DeviceSnapshot): void {
  device.noiseKey = saved.noiseKey
  device.signedIdentity = saved.signedIdentity
  device.toldPreKeysLow = saved.toldPreKeysLow
  for (const stanza of saved.queue) device.queue.add(stanza)
}
