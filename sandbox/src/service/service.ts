import { MediaDepot } from '../media/media-depot.ts'
import { SERVICE_JID } from '../wire/jid.ts'
import { type BinaryNode, node } from '../wire/node.ts'
import type { Account, Device } from './account.ts'
import { AccountRegistry } from './account-registry.ts'
import { AppStateStore } from './app-state-store.ts'
import { DeviceDirectory } from './device-directory.ts'
import { Faults } from './faults.ts'
import { GroupRegistry } from './groups.ts'
import { setDefaultTimer } from './iq/account-iqs.ts'
import { type IqContext, IqRouter } from './iq/iq-router.ts'
import { Mailroom } from './mailroom.ts'
import { MessageRouter } from './message-router.ts'
import { Metrics } from './metrics.ts'
import { previewOf } from './offline-preview.ts'
import type { Attachment, Peer, PhoneRole, ServiceEvent } from './peer.ts'
import { PresenceBoard } from './presence-board.ts'
import { type Problem, ProblemLog } from './problem-log.ts'
import { ReceiptRouter } from './receipt-router.ts'
import { Registrations } from './registrations.ts'
import { endConnection } from './stream-end.ts'
import { WireLog } from './wire-log.ts'

export interface ServiceOptions {
  readonly clock: () => number
  /** Called for every new problem. */
  readonly report?: (problem: Problem) => void
  /** How long the first QR ref lives, and each of the following ones, in ms. WhatsApp Web: 60 000 and 20 000. */
  readonly refLifetimes?: { readonly first: number; readonly next: number }
  /** `host:port` for media uploads and downloads. */
  readonly mediaHost?: () => string
}

/** How a peer came to be connected. */
export interface Connect {
  /** True: the connection gets nothing but answers until it says `active`. */
  readonly passive: boolean
}

/** The simulated WhatsApp service, whatever its clients are connected by. */
export class Service {
  readonly accounts: AccountRegistry
  readonly registrations: Registrations
  readonly groups: GroupRegistry
  readonly appState = new AppStateStore()
  readonly media: MediaDepot
  readonly log: ProblemLog
  readonly faults: Faults
  readonly metrics: Metrics
  readonly wire: WireLog
  readonly directory: DeviceDirectory
  readonly #mailroom: Mailroom
  readonly #iqs: IqRouter
  readonly #messages: MessageRouter
  readonly #receipts: ReceiptRouter
  readonly #presence: PresenceBoard
  readonly #watchers = new Set<(event: ServiceEvent) => void>()
  readonly #clock: () => number

  constructor(options: ServiceOptions) {
    const { clock } = options
    this.#clock = clock
    this.accounts = new AccountRegistry(clock)
    this.media = new MediaDepot(clock)
    this.log = new ProblemLog({ clock, ...(options.report === undefined ? {} : { report: options.report }) })
    this.metrics = new Metrics(clock)
    this.wire = new WireLog(clock)
    this.faults = new Faults((device, how) => endConnection(device, how))
    const emit = (event: ServiceEvent) => this.#emit(event)
    const { accounts, faults, log, metrics } = this
    this.#mailroom = new Mailroom({ faults, metrics })
    const mailroom = this.#mailroom
    this.directory = new DeviceDirectory({ clock, mailroom, emit })
    const { directory } = this
    this.groups = new GroupRegistry({ clock, mailroom })
    const { groups } = this
    this.registrations = new Registrations({
      clock,
      log,
      faults,
      metrics,
      directory,
      emit,
      accounts,
      refLifetimes: options.refLifetimes ?? { first: 60_000, next: 20_000 },
    })
    this.#presence = new PresenceBoard({ accounts, groups, log, clock })
    this.#messages = new MessageRouter({ accounts, groups, faults, log, metrics, mailroom, clock })
    this.#receipts = new ReceiptRouter({ accounts, groups, log, metrics, mailroom, clock })
    const context: IqContext = {
      accounts,
      groups,
      faults,
      log,
      metrics,
      mailroom,
      directory,
      clock,
      appState: this.appState,
      media: this.media,
      activate: (device) => this.#activate(device),
      remove: (device) => this.removeDevice(device),
      mediaHost: options.mediaHost ?? (() => '127.0.0.1'),
    }
    this.#iqs = new IqRouter(context)
  }

  /** Connects the phone (device 0) of an account; a phone attached before is closed as `replaced`. */
  attachPhone(account: Account, peer: Peer, role: PhoneRole): Attachment {
    const device = account.phone
    this.directory.setPhoneRole(account, role)
    this.connect(device, peer, { passive: false })
    return {
      jid: device.jid,
      lid: device.lid,
      send: (stanza) => {
        if (device.peer !== peer) throw new Error(`the phone of ${account.pn} is not attached any more`)
        this.receive(device, stanza)
      },
      detach: () => this.disconnect(device, peer),
    }
  }

  /** Tells a companion what its phone answered to a media retry request: where the file is now, or an error. */
  answerMediaRetry(companion: Device, messageId: string, content: readonly BinaryNode[]) {
    const { account } = companion
    const from = account.addressing === 'lid' ? account.lidJid : account.jid
    this.#mailroom.notify(companion, 'mediaretry', { id: messageId, from, t: this.#seconds() }, content)
  }

  /** Sets on a device after how long messages of new chats disappear; the account's other devices are told. */
  setDefaultTimer(device: Device, seconds: number) {
    setDefaultTimer(device, seconds, { clock: () => this.#seconds() * 1000, mailroom: this.#mailroom })
  }

  /** Takes a companion off its account, as a phone does under "Linked devices" > "Log out". */
  removeDevice(device: Device) {
    if (device.id === 0) throw new RangeError('a phone cannot be removed from its own account')
    if (!device.linked) return
    this.directory.remove(device)
    endConnection(device, { kind: 'device_removed' })
    this.#presence.forget(device)
    device.queue.clear()
  }

  /** Calls `watcher` for every event from now on; the result stops that. */
  watch(watcher: (event: ServiceEvent) => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  /** Makes `peer` the connection of a device; the one before it is told that it was replaced. */
  connect(device: Device, peer: Peer, how: Connect) {
    const replaced = device.peer !== undefined && device.peer !== peer
    if (replaced) endConnection(device, { kind: 'replaced' })
    device.peer = peer
    device.active = false
    device.available = false
    this.#emit({ type: 'device_online', device })
    if (!how.passive) this.#activate(device)
  }

  /** `peer` is gone; what comes for the device from now on waits. */
  disconnect(device: Device, peer: Peer) {
    if (device.peer !== peer) return
    this.#presence.forget(device)
    device.peer = undefined
    device.active = false
    this.#emit({ type: 'device_offline', device })
  }

  /** Takes one stanza from a connected device. Never throws: what is wrong with it is answered and logged. */
  receive(device: Device, stanza: BinaryNode) {
    this.metrics.stanzasIn += 1
    try {
      this.#route(device, stanza)
    } catch (error) {
      this.log.add(
        'internal',
        device.jid,
        error instanceof Error ? (error.stack ?? error.message) : String(error),
        stanza,
      )
      if (stanza.tag === 'iq' && stanza.attrs.id !== undefined) {
        const error500 = node('error', { code: 500, text: 'internal-server-error' })
        const { id, to } = stanza.attrs
        device.peer?.deliver(node('iq', { type: 'error', id, from: to }, [error500]))
      }
    }
  }

  #route(device: Device, stanza: BinaryNode) {
    switch (stanza.tag) {
      case 'iq':
        return this.#iqs.receive(device, stanza)
      case 'message':
        return this.#messages.receive(device, stanza)
      case 'receipt':
        return this.#receipts.receive(device, stanza)
      case 'ack':
        return this.#receipts.receiveAck(device, stanza)
      case 'presence':
        return this.#presence.receivePresence(device, stanza)
      case 'chatstate':
        return this.#presence.receiveChatState(device, stanza)
      case 'ib':
        // Telemetry and hints (unified_session, offline_batch) that ask for nothing.
        return
      default:
        this.log.add('unknown_stanza', device.jid, `no such stanza: ${stanza.tag}`, stanza)
    }
  }

  /** Replays what waited, then says that it was all: Baileys holds back every event until then. */
  #activate(device: Device) {
    if (device.active || device.peer === undefined) return
    device.active = true
    const waiting = device.queue.list()
    if (waiting.length > 0) device.peer?.deliver(node('ib', { from: SERVICE_JID }, [previewOf(waiting)]))
    let position = 0
    for (const stanza of waiting) {
      this.#mailroom.push(device, { ...stanza, attrs: { ...stanza.attrs, offline: String(position) } })
      position += 1
    }
    device.peer?.deliver(node('ib', { from: SERVICE_JID }, [node('offline', { count: waiting.length })]))
    this.#emit({ type: 'device_active', device })
    // Phones wait for this before they send history: Baileys only looks out for it after the line above.
    this.#emit({ type: 'device_active', device })
  }

  #seconds(): number {
    return Math.floor(this.#clock() / 1000)
  }

  #emit(event: ServiceEvent) {
    for (const watcher of [...this.#watchers]) watcher(event)
  }
}
