// A linked companion that refuses whatever a correct service would not send. Shares no code with the service.
import { Connection, ConnectionEnded } from './connection.ts'
import { Deliveries } from './deliveries.ts'
import { Directory } from './directory.ts'
import { readGroup } from './groups.ts'
import { Inbox, type PeerNews, type Received } from './inbox.ts'
import type { Installation } from './installation.ts'
import { compareDigest, countPreKeys, hasDigest, uploadPreKeys, writeOwnKeys } from './keys.ts'
import { Mailbox } from './mailbox.ts'
import { Outbox, type SendOptions } from './outbox.ts'
import { addressOf, make, numberBytes, part, partsOf, type Stanza } from './stanza.ts'
import type { Endpoint } from './transport.ts'
import { demand, Violation, type ViolationCode } from './violation.ts'

export interface LoginOptions {
  /** False: nothing is confirmed, as if the client died before it wrote anything down. */
  readonly confirms?: boolean
  /** Which pre-keys are to be there after the login. */
  readonly preKeys?: number
}

export interface ReceivedReceipt {
  readonly ids: readonly string[]
  /** `delivered` when the stanza has no type. */
  readonly type: string
  /** The person, or the device where the type means one. */
  readonly from: string
  readonly stanza: Stanza
}

const PRE_KEYS = 20
/** What the service keeps until it is confirmed. */
const QUEUED = new Set(['message', 'receipt', 'notification', 'call'])
const deliveriesOf = new WeakMap<Installation, Deliveries>()

export class StrictClient implements AsyncDisposable {
  readonly own: Installation
  readonly messages = new Mailbox<Received>(({ chat, text }) => `${chat}: ${text}`)
  readonly receipts = new Mailbox<ReceivedReceipt>(({ type, ids }) => `${type} ${ids}`)
  readonly notifications = new Mailbox<Stanza>(({ attrs }) => `${attrs.type}`)
  readonly news = new Mailbox<PeerNews>(({ keys, history }) =>
    history ? `history ${history.syncType}` : `${keys} keys`,
  )
  readonly others = new Mailbox<Stanza>(({ tag }) => tag)
  readonly #violations = new Mailbox<Violation>(({ message }) => message)
  readonly deliveries: Deliveries
  readonly directory: Directory
  readonly outbox: Outbox
  readonly #inbox: Inbox
  readonly #confirms: boolean
  #connection: Connection | undefined
  #work: Promise<void> = Promise.resolve()
  #offline = 0
  #drained = false
  /** How many stanzas had waited. */
  drainedCount = 0
  success: Stanza | undefined

  private constructor(own: Installation, options: LoginOptions) {
    this.own = own
    this.#confirms = options.confirms ?? true
    const deliveries = deliveriesOf.get(own) ?? new Deliveries()
    deliveriesOf.set(own, deliveries)
    this.deliveries = deliveries
    this.directory = new Directory(own, () => this.connection)
    this.outbox = new Outbox(own, this.directory, () => this.connection)
    this.#inbox = new Inbox(own, this.directory)
  }

  /** Logs in, uploads pre-keys if need be, and waits for what waited. @throws Violation, ConnectionEnded */
  static async login(endpoint: Endpoint, own: Installation, options: LoginOptions = {}): Promise<StrictClient> {
    const client = new StrictClient(own, options)
    const { user, device } = addressOf(own.own.jid)!
    const payload = { username: Number(user), device, passive: true, pull: true, lidDbMigrated: true }
    client.#connection = await Connection.open(endpoint, own, payload, {
      receive: (stanza) => client.#receive(stanza),
      violation: (violation) => client.#violations.add(violation),
    })
    const { connection } = client
    connection.whenClosed.then(() => client.#endMailboxes())
    client.success = await client.others.take(({ tag }) => tag === 'success')
    await client.#start(options.preKeys ?? PRE_KEYS)
    return client
  }

  get connection(): Connection {
    return this.#connection!
  }

  get pattern(): string {
    return this.connection.transport.secured.pattern
  }

  /** Another person's address, as this client writes to people. */
  jidOf(person: { readonly pn: string; readonly lid: string }): string {
    return this.own.addressing === 'lid' ? `${person.lid}@lid` : `${person.pn}@s.whatsapp.net`
  }

  sendText(chat: string, text: string, options?: SendOptions): Promise<string> {
    return this.outbox.sendText(chat, text, options)
  }

  /** Says that a message was read. */
  markRead({ id, stanza }: Received): Promise<void> {
    const { from, participant } = stanza.attrs
    return this.connection.sendReceipt({ id, to: from, participant, type: 'read', t: Math.floor(Date.now() / 1000) })
  }

  /** The next violation of a kind, which is then expected; waits for it. */
  async expectViolation(code: ViolationCode): Promise<Violation> {
    return this.#violations.take((violation) => violation.code === code)
  }

  /** Resolves when everything received so far is worked off. */
  async settle(): Promise<void> {
    await this.connection.query('get', 'w:p', [make('ping')])
    await this.#work
  }

  /** Ends the connection; what should not have happened comes out now. @throws Violation */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#work
    this.connection.transport.terminate()
    await this.connection.whenClosed
    for (const violation of this.#violations.entries) throw violation
    const [repeated] = this.deliveries.repeated
    demand(repeated === undefined, 'stanza', `<${repeated?.tag} id=${repeated?.attrs.id}> came twice`)
  }

  async #start(preKeys: number): Promise<void> {
    const { connection, own } = this
    demand(this.success?.attrs.lid === own.own.lid, 'stanza', `success for ${this.success?.attrs.lid}`)
    const count = await countPreKeys(connection)
    demand((await hasDigest(connection)) === count > 0, 'digest', `a digest with ${count} pre-keys`)
    if (count < preKeys) {
      await uploadPreKeys(connection, own, preKeys)
      const now = await countPreKeys(connection)
      demand(now === count + preKeys, 'digest', `${now} pre-keys after an upload of ${preKeys} onto ${count}`)
    }
    await compareDigest(connection, own)
    await this.#readProps()
    await connection.query('set', 'passive', [make('active')])
    const ib = await this.others.take((stanza) => part(stanza)?.tag === 'offline')
    this.drainedCount = Number(part(ib)!.attrs.count)
    await this.#work
    connection.send(make('presence', { type: 'available', name: own.name }))
  }

  /** What clients ask for at every start. */
  async #readProps(): Promise<void> {
    const props = part(await this.connection.query('get', 'abt', [make('props', { protocol: 1 })]), 'props')
    demand(partsOf(props, 'prop').length > 0, 'stanza', 'no props')
    const media = part(await this.connection.query('set', 'w:m', [make('media_conn')]), 'media_conn')
    demand(!!media?.attrs.auth && !!part(media, 'host')?.attrs.hostname, 'stanza', 'no media host')
    const privacy = part(await this.connection.query('get', 'privacy', [make('privacy')]), 'privacy')
    demand(partsOf(privacy, 'category').length >= 9, 'stanza', 'no privacy categories')
  }

  #receive(stanza: Stanza): void {
    this.#noteOffline(stanza)
    const first = this.deliveries.note(stanza)
    if (!QUEUED.has(stanza.tag)) {
      this.others.add(stanza)
      return
    }
    this.#work = this.#work
      .then(() => (stanza.tag === 'message' ? this.#receiveMessage(stanza, first) : this.#receiveOther(stanza, first)))
      .catch((error: unknown) => {
        if (error instanceof ConnectionEnded) return
        this.#violations.add(error instanceof Violation ? error : new Violation('stanza', String(error)))
      })
  }

  /** What waited comes first, numbered from 0, and its number is told after it. */
  #noteOffline(stanza: Stanza): void {
    const { offline } = stanza.attrs
    if (part(stanza)?.tag === 'offline' && stanza.tag === 'ib') {
      const count = Number(part(stanza)!.attrs.count)
      demand(!this.#drained && count === this.#offline, 'offline', `count ${count} after ${this.#offline} stanzas`)
      this.#drained = true
    } else if (offline !== undefined) {
      demand(!this.#drained && offline === `${this.#offline}`, 'offline', `${offline} after ${this.#offline} stanzas`)
      this.#offline += 1
    } else {
      demand(this.#drained || !QUEUED.has(stanza.tag), 'offline', `<${stanza.tag}> before what waited`)
    }
  }

  async #receiveMessage(stanza: Stanza, first: boolean): Promise<void> {
    const { id, from, participant, recipient } = stanza.attrs
    // Seen before: it was opened then, and its keys are gone. It is only confirmed again.
    if (!first)
      return this.#confirm(stanza, () => this.connection.sendReceipt({ id, to: from, participant, recipient }))
    try {
      const opened = await this.#inbox.open(stanza)
      const type = opened.receipt
      if (opened.kind === 'peer') this.news.add(opened.news)
      else this.messages.add(opened.received)
      await this.#confirm(stanza, () => this.connection.sendReceipt({ id, to: from, participant, recipient, type }))
    } catch (error) {
      if (!(error instanceof ConnectionEnded)) await this.#askAgain(stanza)
      throw error
    }
  }

  async #askAgain(stanza: Stanza): Promise<void> {
    const { id, from, participant, t } = stanza.attrs
    await this.#confirm(stanza, () =>
      this.connection.sendReceipt({ id, to: from, participant, type: 'retry' }, [
        make('retry', { count: 1, id, t, v: 1 }),
        make('registration', {}, numberBytes(this.own.registrationId, 4)),
        writeOwnKeys(this.own),
      ]),
    )
  }

  async #receiveOther(stanza: Stanza, first: boolean): Promise<void> {
    const { id, from, type, participant } = stanza.attrs
    if (first && stanza.tag === 'receipt') await this.#takeReceipt(stanza)
    if (first && stanza.tag === 'notification') await this.#takeNotification(stanza)
    if (first && stanza.tag === 'call') this.others.add(stanza)
    const kind = stanza.tag === 'call' ? part(stanza)?.tag : type
    await this.#confirm(stanza, async () => {
      this.connection.send(make('ack', { class: stanza.tag, id, to: from, participant, type: kind }))
    })
  }

  async #takeReceipt(stanza: Stanza): Promise<void> {
    const { id, from, participant, type = 'delivered' } = stanza.attrs
    const items = partsOf(part(stanza, 'list'), 'item').map(({ attrs }) => attrs.id!)
    this.receipts.add({ ids: [id!, ...items], type, from: participant ?? from!, stanza })
    if (type === 'retry') await this.outbox.sendAgain(stanza)
  }

  async #takeNotification(stanza: Stanza): Promise<void> {
    const content = part(stanza)
    if (stanza.attrs.type === 'encrypt' && content?.tag === 'count') {
      await uploadPreKeys(this.connection, this.own, PRE_KEYS)
      await compareDigest(this.connection, this.own)
    }
    if (stanza.attrs.type === 'devices') {
      this.directory.verifyChange(stanza)
      this.directory.forget(stanza.attrs.lid!)
    }
    if (stanza.attrs.type === 'w:gp2' && content?.tag === 'create') readGroup(part(content, 'group'))
    this.notifications.add(stanza)
  }

  async #confirm(stanza: Stanza, send: () => Promise<void>): Promise<void> {
    if (!this.#confirms) return
    this.deliveries.confirm(stanza)
    await send()
  }

  #endMailboxes(): void {
    const why = this.connection.ended!
    for (const box of [this.messages, this.receipts, this.notifications, this.news, this.others]) box.end(why)
  }
}
