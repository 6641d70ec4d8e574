import {
  DEFAULT_CONNECTION_CONFIG,
  makeWASocket,
  proto,
  USyncQuery,
  USyncUser,
  type WABrowserDescription,
  type WASocket,
} from 'baileys'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../../kernel/clock.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { KeyedQueue } from '../../kernel/keyed-queue.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { SignalKeyRepository, StanzaFailureRepository } from '../../storage/index.ts'
import type { Account, CloseCause, Engine, EngineSession, MediaFacts, OpenSession } from '../index.ts'
import { accountOf } from './account.ts'
import { AppStateVersions } from './app-state-versions.ts'
import { AuthStore } from './auth-store.ts'
import { createBaileysLogger, type OnMutation } from './baileys-logger.ts'
import { ChatChanges } from './chat-changes.ts'
import { watchDamage } from './damage-watch.ts'
import { createDeviceCache, createSharedDeviceCache } from './device-cache.ts'
import { storeGroupTimer } from './group-timers.ts'
import { Incoming } from './incoming.ts'
import { createSharedLidCache, LidMap } from './lid-map.ts'
import { mediaFactsOf, relocated } from './media-part.ts'
import { MediaTransfer } from './media-transfer.ts'
import { pinNoiseRoot } from './noise-root.ts'
import { type FrameSink, OutputGate } from './output-gate.ts'
import { PasskeyLinking } from './passkey.ts'
import { isStorageFailure } from './poison.ts'
import { listenToPresence } from './presence.ts'
import { RustSignalCore } from './rust-signal-core.ts'
import { BaileysSession } from './session.ts'
import { sliceOf } from './session-cache.ts'
import type { SignalCore } from './signal-core.ts'
import { createSignalRepository } from './signal-repository.ts'
import { StockHandlers } from './stock-handlers.ts'
import { type ServiceAddress, Transport } from './transport.ts'
import { UnwrittenRecords } from './unwritten-records.ts'

export interface BaileysEngineOptions {
  readonly keys: SignalKeyRepository
  readonly stanzaFailures: Pick<StanzaFailureRepository, 'note'>
  /** What was sent, for recipients who ask for it again: the encoded `Message`, or undefined. */
  readonly sentContent: (deviceId: string, chat: string, messageId: string) => Promise<Uint8Array | undefined>
  readonly service: ServiceAddress
  /** Name shown under "linked devices". */
  readonly osName: string
  /** Baileys' own lines from this level on. */
  readonly protocolLogLevel: string
  readonly clock: Clock
  readonly logger: Logger
  readonly version?: readonly [number, number, number]
  /** Most numbers that are asked about in one query; 50 when absent. */
  readonly lookupBatchSize?: number
  readonly keepAliveIntervalMs?: number
  readonly connectTimeoutMs?: number
  readonly passkeyHandoffLifetimeMs?: number
  /** How long each QR code is shown; WhatsApp Web's own rhythm (60 s, then 20 s each) when absent. */
  readonly qrLifetimeMs?: number
  readonly signalCore?: SignalCore
}

/** Key material that was refused since the start, by kind. */
export type RefusalCounts = Record<
  | 'message'
  | 'sender_key_message'
  | 'pre_key_bundle'
  | 'device_identity'
  | 'plaintext'
  | 'app_state'
  | 'pairing'
  | 'certificate',
  number
>

/** Engine on Baileys: one socket per device; caches, agents and the Signal core are shared by all. */
export class BaileysEngine implements Engine {
  version: readonly [number, number, number]
  readonly refusals: RefusalCounts = {
    message: 0,
    sender_key_message: 0,
    pre_key_bundle: 0,
    device_identity: 0,
    plaintext: 0,
    app_state: 0,
    pairing: 0,
    certificate: 0,
  }
  readonly #options: BaileysEngineOptions
  readonly #transport: Transport
  readonly #core: SignalCore
  readonly #locks = new KeyedQueue<string>()
  readonly #unwritten = new UnwrittenRecords()
  readonly #lids = createSharedLidCache()
  readonly #devices = createSharedDeviceCache()
  readonly #small = new LRUCache<string, NonNullable<unknown>>({ max: 20_000, ttl: 3600_000 })

  constructor(options: BaileysEngineOptions) {
    this.#options = options
    this.version = options.version ?? (DEFAULT_CONNECTION_CONFIG.version as [number, number, number])
    this.#core = options.signalCore ?? new RustSignalCore()
    this.#transport = new Transport(options.service)
    pinNoiseRoot(options.service.noiseRoot)
  }

  async open(request: OpenSession): Promise<EngineSession> {
    const { deviceId, link } = request
    const { clock, stanzaFailures } = this.#options
    let session: BaileysSession | undefined
    const keys = watchDamage(this.#options.keys, ({ message }) => session?.close({ kind: 'keys_damaged', message }))
    const auth = link ? AuthStore.draft(deviceId, keys) : await AuthStore.load(deviceId, keys)
    if (!auth) throw new ParleyError('not_linked', 'the device is not linked to a WhatsApp account')
    const logger = this.#options.logger.child({ device_id: deviceId })
    const browser: WABrowserDescription = [this.#options.osName, 'Chrome', '']
    let sock: WASocket | undefined
    const lidMap = new LidMap({
      deviceId,
      repository: keys,
      cache: this.#lids,
      ask: (pns) => askLids(sock, pns),
    })
    let onMutation: OnMutation = () => undefined
    const stock = new StockHandlers((collection, reason) => {
      this.refusals.app_state++
      logger.warn({ collection, reason }, 'refused changes of the app state')
      versions.refuse(collection)
    })
    const onStorageFailure = () => session?.close({ kind: 'network', message: 'what came in could not be stored' })
    const versions = new AppStateVersions({
      keys: auth.keys,
      changesStored: () => chatChanges.settled(),
      onFailure: onStorageFailure,
    })
    sock = this.#makeSocket(
      request,
      keys,
      auth,
      versions,
      lidMap,
      browser,
      logger,
      (error) => {
        incoming.onKeyFailure(error)
        session?.onKeyFailure(error)
      },
      (mutation, fromFull) => onMutation(mutation, fromFull),
      stock,
    )
    const { intake } = request
    const parts = { deviceId, sock, lidMap, intake }
    const incoming = new Incoming({
      deviceId,
      sock,
      auth,
      lidMap,
      intake,
      contentOf: (chat, messageId) => this.#options.sentContent(deviceId, chat, messageId),
      failures: stanzaFailures,
      logger,
      stock,
      onNotification: (node) => storeGroupTimer(node, parts),
      settled: async () => {
        await versions.settled()
        await request.signalsStored?.()
        await auth.settled()
      },
      onSignal: request.onSignal,
      onOverload: () => session?.close({ kind: 'network', message: 'more came in than could be stored' }),
      onRefused: (what) => {
        this.refusals[what]++
      },
      onStorageFailure,
    })
    const chatChanges = new ChatChanges({
      ...parts,
      failures: stanzaFailures,
      takeRefusal: (collection) => versions.takeRefusal(collection),
      clock,
      logger,
    })
    onMutation = (mutation, fromFull) => chatChanges.onMutation(mutation, fromFull)
    listenToPresence({ sock, lidMap, logger, onSignal: request.onSignal })
    const passkey = new PasskeyLinking({
      sock,
      auth,
      clock,
      logger,
      deviceType: proto.DeviceProps.PlatformType.CHROME,
      handoffLifetimeMs: this.#options.passkeyHandoffLifetimeMs ?? 5 * 60_000,
      signal: request.onSignal,
    })
    const media = new MediaTransfer({
      sock,
      auth,
      transport: this.#transport,
      agent: this.#transport.mediaAgentFor(request.proxyUrl),
      clock,
      signal: request.onSignal,
    })
    session = new BaileysSession({
      deviceId,
      sock,
      auth,
      incoming,
      chatChanges,
      versions,
      lidMap,
      passkey,
      media,
      clock,
      logger,
      link,
      // a pairing request names browser and system; the service knows the common pairs only
      browser: ['Mac OS', 'Chrome', ''],
      lookupBatchSize: this.#options.lookupBatchSize ?? 50,
      qrLifetimeMs: this.#options.qrLifetimeMs,
      onClosed: (cause) => this.#countRefusal(cause),
      onSignal: request.onSignal,
    })
    return session
  }

  /** A connection that ended because of what the other side could not prove. */
  #countRefusal(cause: CloseCause): void {
    if (cause.kind === 'pairing_error') this.refusals.pairing++
    else if ('message' in cause && cause.message.includes('certificate')) this.refusals.certificate++
  }

  async storedAccount(deviceId: string): Promise<Account | undefined> {
    const auth = await AuthStore.load(deviceId, this.#options.keys)
    return auth && accountOf(auth.creds)
  }

  async describeMedia(content: Uint8Array): Promise<MediaFacts | undefined> {
    return mediaFactsOf(content)
  }

  async relocateMedia(content: Uint8Array, directPath: string): Promise<Uint8Array> {
    return relocated(content, directPath)
  }

  async forget(deviceId: string): Promise<void> {
    await this.#options.keys.forget(deviceId)
    for (const cache of [this.#lids, this.#devices, this.#small])
      for (const key of cache.keys()) if (key.startsWith(`${deviceId}|`)) cache.delete(key)
  }

  #makeSocket(
    { deviceId, proxyUrl }: OpenSession,
    keys: SignalKeyRepository,
    auth: AuthStore,
    versions: AppStateVersions,
    lidMap: LidMap,
    browser: WABrowserDescription,
    logger: Logger,
    onKeyFailure: (error: Error) => void,
    onMutation: OnMutation,
    stock: StockHandlers,
  ): WASocket {
    const { sentContent, protocolLogLevel, keepAliveIntervalMs, connectTimeoutMs, qrLifetimeMs } = this.#options
    const agent = this.#transport.agentFor(proxyUrl)
    const gate = new OutputGate()
    const small = (name: string) => sliceOf(this.#small, `${deviceId}|${name}`)
    const sock = makeWASocket({
      waWebSocketUrl: this.#transport.url,
      version: [...this.version],
      browser,
      auth: { creds: auth.creds, keys: versions.keys },
      agent: agent as never,
      fetchAgent: agent as never,
      // history and app state
      options: { dispatcher: this.#transport.blobDispatcherFor(proxyUrl) } as unknown as RequestInit,
      logger: createBaileysLogger(logger, protocolLogLevel, onMutation, stock),
      keepAliveIntervalMs: keepAliveIntervalMs ?? 30_000,
      connectTimeoutMs: connectTimeoutMs ?? 20_000,
      ...(qrLifetimeMs === undefined ? {} : { qrTimeout: qrLifetimeMs }),
      // staying unavailable lets the phone show its own notifications
      markOnlineOnConnect: false,
      syncFullHistory: false,
      emitOwnEvents: false,
      generateHighQualityLinkPreview: false,
      // our own message store answers requests for a copy; 512 messages and their timers per session are saved
      enableRecentMessageCache: false,
      transactionOpts: { maxCommitRetries: 3, delayBetweenTriesMs: 200 },
      appStateMacVerification: { patch: true, snapshot: true },
      userDevicesCache: createDeviceCache({ deviceId, repository: keys, shared: this.#devices }),
      msgRetryCounterCache: small('retry'),
      callOfferCache: small('call'),
      placeholderResendCache: small('placeholder'),
      getMessage: async (key) => {
        const content = key.id
          ? await sentContent(deviceId, key.remoteJid ?? '', key.id).catch((error: Error) => {
              // Baileys takes it for the fault of whoever asked
              if (isStorageFailure(error)) onKeyFailure(error)
              throw error
            })
          : undefined
        return content && proto.Message.decode(content)
      },
      makeSignalRepository: () =>
        createSignalRepository({
          deviceId,
          auth,
          repository: keys,
          core: this.#core,
          lidMap,
          locks: this.#locks,
          unwritten: this.#unwritten,
          gate,
          logger,
          onRefused: (what) => {
            this.refusals[what]++
          },
          onKeyFailure,
        }),
    })
    // Baileys declares its WebSocket protected
    gate.guard((sock.ws as unknown as { readonly socket: FrameSink }).socket)
    return sock
  }
}

const askLids = async (sock: WASocket | undefined, pns: string[]) => {
  const query = new USyncQuery().withLIDProtocol().withContext('background')
  for (const pn of pns) query.withUser(new USyncUser().withId(pn))
  const answer = await sock?.executeUSyncQuery(query)
  return answer?.list.flatMap(({ id, lid }) => (typeof lid === 'string' && lid ? [{ pn: id, lid }] : []))
}
