import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Config, DatastoreAddress } from './config/config.ts'
import { BUILT_IN_VERSION } from './engine/baileys/built-in-version.ts'
import type { BaileysEngineOptions } from './engine/baileys/engine.ts'
import type { Engine } from './engine/index.ts'
import { LazyEngine } from './engine/lazy-engine.ts'
import { Events } from './events/events.ts'
import { EventFeed } from './events/feed.ts'
import { tellMergers } from './events/from-merger.ts'
import { eventsOfOwnMessage } from './events/from-own-message.ts'
import { eventsOfSignal } from './events/from-signal.ts'
import { identityOfSignal } from './events/identity.ts'
import { createIntake } from './events/intake.ts'
import { EventLog } from './events/log.ts'
import { describedEvents } from './events/openapi.ts'
import { fetchText } from './features/admin/fetch-text.ts'
import { WebVersion } from './features/admin/whatsapp-version.ts'
import { allRoutes, type RouteDeps } from './features/all-routes.ts'
import { MediaLibrary } from './features/media/library.ts'
import { type Chore, JOURNAL_KEPT_MS, keepHouse, STANZA_FAILURES_KEPT_MS, STANZA_KEYS_KEPT_MS } from './housekeeping.ts'
import { Accounts } from './http/access.ts'
import { IDEMPOTENCY_KEPT_MS } from './http/idempotency.ts'
import { buildOpenApi } from './http/openapi.ts'
import { createHttpServer } from './http/server.ts'
import { DeviceTokens } from './http/tokens.ts'
import type { Clock } from './kernel/clock.ts'
import { messageOf } from './kernel/errors.ts'
import type { Logger } from './kernel/logger.ts'
import { MediaProcessor } from './media/processor.ts'
import { MediaStore } from './media/store.ts'
import { ABANDONED_MS, TempFiles } from './media/temp-files.ts'
import { Tools } from './media/tools.ts'
import { AutoRead } from './sessions/auto-read.ts'
import { GroupTimers } from './sessions/group-timers.ts'
import { MessageSender } from './sessions/message-sender.ts'
import { Outbox } from './sessions/outbox.ts'
import { Recipients } from './sessions/recipients.ts'
import { SessionRegistry } from './sessions/registry.ts'
import { SendLimits } from './sessions/send-limits.ts'
import type { Storage } from './storage/index.ts'
import { wrappingKeys } from './storage/keyring.ts'
import { openStorage } from './storage/open.ts'
import { AddressGuard } from './webhooks/address-guard.ts'
import { HttpWebhookClient, type WebhookClient } from './webhooks/client.ts'
import { Dispatcher } from './webhooks/dispatcher.ts'
import { Fetcher } from './webhooks/fetcher.ts'
import { EndpointHealth } from './webhooks/health.ts'
import { createProbe } from './webhooks/probe.ts'
import { Subscriptions } from './webhooks/subscriptions.ts'

export interface GatewayParts {
  readonly config: Config
  readonly logger: Logger
  readonly clock: Clock
  readonly version: string
  readonly random?: () => number
  /** Called once when the process must end: another one has taken the database. */
  readonly onFatal: (reason: Error) => void
  /** Tests and benches: checks every reply and event against its schema. */
  readonly validate?: boolean
  /** Tests and benches: stand-ins for what reaches out of the process. */
  readonly engine?: Engine
  /** Tests: WhatsApp's own waits, made shorter. */
  readonly engineTiming?: EngineTiming
  readonly webhookClient?: WebhookClient
}

export type EngineTiming = Pick<
  BaileysEngineOptions,
  'keepAliveIntervalMs' | 'connectTimeoutMs' | 'passkeyHandoffLifetimeMs' | 'qrLifetimeMs'
>

/** A gateway that listens. Disposing it is a graceful stop. */
export interface Gateway extends AsyncDisposable {
  readonly host: string
  readonly port: number
  readonly storage: Storage
  readonly sessions: SessionRegistry
  readonly dispatcher: Dispatcher
}

/**
 * Builds and starts everything; the only file that knows every concrete class. The HTTP server answers before any device
 * is back; devices then come back by themselves.
 * @throws ParleyError (storage, configuration), or the listening error
 */
export const startGateway = async (parts: GatewayParts): Promise<Gateway> => {
  const { config, logger, clock, version, random = Math.random } = parts
  const startedAt = clock.now()
  await using stack = new AsyncDisposableStack()

  const opened = stack.use(
    await openStorage({
      uri: uriOf(config.storage.main),
      keysUri: config.storage.keys && uriOf(config.storage.keys),
      secret: wrappingKeys({
        jwtSecretKey: config.auth.jwtSecretKey,
        dataEncryptionKey: toHex(config.auth.dataEncryptionKey),
        dataEncryptionKeyPrevious: config.auth.dataEncryptionKeyPrevious,
      }),
      clock,
      logger,
      own: true,
      onOwnerLost: parts.onFatal,
    }),
  )
  const accounts = await Accounts.open(opened)
  const storage = accounts.watch(opened)

  const subscriptions = new Subscriptions({ enabled: config.webhooks.enabled })
  await subscriptions.load(storage.webhooks)
  const guard = new AddressGuard({
    allowHttp: config.webhooks.allowHttp,
    allowedNetworks: config.webhooks.allowedNetworks,
  })
  const client = parts.webhookClient ?? stack.use(new HttpWebhookClient({ guard, clock }))
  const health = new EndpointHealth({
    webhooks: storage.webhooks,
    subscriptions,
    announce: (deviceId, drafts) =>
      deviceId === undefined ? events.appendToAll(drafts) : events.append(deviceId, drafts),
    clock,
    logger,
    pauseAfterMs: config.webhooks.maxAgeMs,
  })
  const dispatcher = stack.use(
    new Dispatcher({
      deliveries: storage.deliveries,
      subscriptions,
      client,
      health,
      clock,
      logger,
      enabled: config.webhooks.enabled,
      workers: config.webhooks.workers,
      retryLimit: config.webhooks.retryLimit,
      maxAgeMs: config.webhooks.maxAgeMs,
      version,
      random,
    }),
  )
  accounts.whenDeviceGone((deviceId) => dispatcher.wake(subscriptions.deleteDevice(deviceId)))
  const validate = parts.validate ?? false
  const feed = new EventFeed()
  const events: Events = new Events({
    log: storage.events,
    receivers: subscriptions,
    waker: dispatcher,
    feed,
    validate,
  })

  const engine = parts.engine ?? new LazyEngine({ version: BUILT_IN_VERSION, load: () => createEngine(parts, storage) })
  const whatsappVersion = await WebVersion.open({
    builtIn: engine.version,
    pinned: { major: config.version.major, minor: config.version.minor, patch: config.version.patch },
    url: config.version.url,
    fetchText,
    settings: storage.settings,
    clock,
    logger,
    minIntervalMs: config.version.refreshMinIntervalMs,
    apply: (found) => {
      engine.version = found
    },
  })

  const outbox = new Outbox({
    messages: storage.messages,
    clock,
    logger,
    eventsOf: (message, chatParty) => {
      const facts = { account: sessions.accountOf(message.deviceId), chatParty, now: clock.now() }
      return events.prepare(message.deviceId, eventsOfOwnMessage(message, facts))
    },
    onEvents: (deviceId, committed) => events.committed(deviceId, committed),
  })
  const recipients = new Recipients({
    options: { enabled: config.caches.lookupEnabled, ttlMs: config.caches.lookupTtlMs, max: config.caches.lookupMax },
    clock,
  })
  const limits = new SendLimits({
    perDevice: config.rateLimit.enabled ? config.rateLimit : undefined,
    quotaOf: (deviceId) => {
      const apiKeyId = accounts.device(deviceId)?.apiKeyId
      const apiKey = apiKeyId === undefined ? undefined : accounts.apiKey(apiKeyId)
      return apiKey && { key: `key ${apiKey.id}`, perHour: apiKey.rateLimitPerHour }
    },
    clock,
  })
  const intake = createIntake({
    repository: storage.intake,
    events,
    accountOf: (deviceId) => sessions.accountOf(deviceId),
  })
  const autoRead = new AutoRead({
    options: config.behaviour,
    connectionOf: (deviceId) => sessions.openConnectionOf(deviceId),
    chats: storage.chats,
    clock,
    random,
    logger,
  })
  const sessions: SessionRegistry = stack.use(
    new SessionRegistry({
      engine,
      devices: storage.devices,
      keys: storage.signalKeys,
      clock,
      logger,
      random,
      outbox,
      options: { ...config.reconnect, proxyUrl: config.whatsapp.proxyUrl || undefined },
      messages: new MessageSender({
        messages: storage.messages,
        clock,
        logger,
        behaviour: config.behaviour,
        random,
        outbox,
        recipients,
        limits,
        groupTimers: new GroupTimers({ chats: storage.chats, logger }),
        mergers: tellMergers({ events, clock, accountOf: (deviceId) => sessions.accountOf(deviceId) }),
      }),
      recipients,
      intake: async (deviceId, occurrence, mayCommit) => {
        const stored = library.duringIntake(deviceId, occurrence)
        await intake(deviceId, occurrence, mayCommit)
        stored()
        autoRead.onOccurrence(deviceId, occurrence)
        if (config.media.autoDownload) library.onArrival(deviceId, occurrence)
      },
      announce: async (deviceId, signal, facts) => {
        const who = await identityOfSignal(signal, deviceId, storage.identities)
        await events.append(deviceId, eventsOfSignal(signal, facts, who))
      },
      saveDevice: async (deviceId, change) => {
        await storage.devices.update(deviceId, change)
      },
      refreshVersion: async () => {
        await whatsappVersion.refresh(false).catch((error: unknown) => {
          logger.warn({ reason: messageOf(error) }, 'the WhatsApp Web version could not be refreshed')
        })
      },
    }),
  )

  const temp = new TempFiles(join(config.media.storeDir, 'tmp'))
  const library = new MediaLibrary({
    messages: storage.messages,
    identities: storage.identities,
    sessions,
    engine,
    store: new MediaStore({ folder: config.media.storeDir, maxBytes: config.media.storeMaxBytes, clock, logger }),
    temp,
    events,
    accountOf: (deviceId) => sessions.accountOf(deviceId),
    clock,
    logger,
  })
  const tools = new Tools({ ffmpegPath: process.env.FFMPEG_PATH, clock })
  const processor = new MediaProcessor({ tools, settings: config.media })
  // what users' URLs lead to may be plain http: nothing of ours is sent there
  const { allowedNetworks } = config.webhooks
  const fetcher = stack.use(new Fetcher({ guard: new AddressGuard({ allowHttp: true, allowedNetworks }), clock }))

  const tokens = new DeviceTokens({ secret: config.auth.jwtSecretKey, clock })
  const deps: RouteDeps = {
    storage,
    sessions,
    tokens,
    clock,
    version,
    startedAt,
    refusals: () => engine.refusals,
    whatsappVersion,
    subscriptions,
    events,
    dispatcher,
    health,
    probe: createProbe({ client, clock, version }),
    eventLog: new EventLog({ log: storage.events, feed }),
    guard,
    maxWebhooksPerDevice: config.webhooks.maxPerDevice,
    library,
    processor,
    fetcher,
    temp,
  }
  const routes = allRoutes(deps)
  const app = await createHttpServer({
    options: {
      baseUrl: config.http.baseUrl,
      corsOrigins: config.http.corsOrigins,
      bodyLimitBytes: config.http.bodyLimitBytes,
      gzipLevel: config.http.gzipLevel,
      trustProxy: config.server.trustProxy,
      adminSecret: config.auth.adminSecretKey,
      uploadFolder: temp.folder,
    },
    routes,
    access: accounts,
    tokens,
    idempotency: storage.idempotency,
    logger,
    clock,
    validateReplies: validate,
    document: () => buildOpenApi(routes, describedEvents(), { version, baseUrl: config.http.baseUrl }),
  })
  // the last in is the first out: requests in flight end while everything they use is still there
  stack.defer(() => app.close())
  await app.listen({ host: config.server.address, port: config.server.port })
  const { address, port } = app.server.address() as AddressInfo

  await dispatcher.start()
  const clearTemp = () =>
    void temp.prepare(clock.now()).catch((error: unknown) => {
      logger.warn({ reason: messageOf(error) }, 'the folder of temporary files could not be prepared')
    })
  clearTemp()
  // by then what a crash just left behind is old enough to be known as abandoned
  stack.defer(clock.after(ABANDONED_MS + 60_000, clearTemp))
  if (engine instanceof LazyEngine) stack.defer(clock.after(PRELOAD_AFTER_MS, () => preload(engine, logger)))
  const restored = await sessions.restore()
  logger.info({ port, devices: restored }, 'listening')
  stack.defer(keepHouse(choresOf(storage, outbox, config), { clock, logger }))

  const running = stack.move()
  return {
    host: address,
    port,
    storage,
    sessions,
    dispatcher,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

/** The first requests should not wait for the protocol library (a quarter of a second), nor should the first linking. */
const PRELOAD_AFTER_MS = 1_000

const preload = (engine: LazyEngine, logger: Logger): void => {
  engine.ready().catch((error: unknown) => {
    logger.warn({ reason: messageOf(error) }, 'the protocol library could not be loaded; it is tried again when needed')
  })
}

const uriOf = (address: DatastoreAddress): string =>
  address.kind === 'sqlite' ? `sqlite:${address.path}` : address.uri

const toHex = (key: Uint8Array | undefined): string | undefined => key && Buffer.from(key).toString('hex')

const createEngine = async (
  { config, clock, logger, engineTiming }: GatewayParts,
  storage: Storage,
): Promise<Engine> => {
  const { BaileysEngine } = await import('./engine/baileys/engine.ts')
  return new BaileysEngine({
    ...engineTiming,
    keys: storage.signalKeys,
    stanzaFailures: storage.stanzaFailures,
    lookupBatchSize: config.caches.lookupBatchSize,
    sentContent: async (deviceId, chat, messageId) => {
      const message = await storage.messages.find(deviceId, messageId, chat)
      return (message ?? (await storage.messages.find(deviceId, messageId)))?.content
    },
    service: {
      url: config.whatsapp.webUrl,
      noiseRoot: config.whatsapp.noiseRoot,
      tlsCaFile: config.whatsapp.tlsCaFile,
      tlsInsecure: config.whatsapp.tlsInsecure,
      mediaOrigin: config.whatsapp.mediaOrigin,
    },
    osName: config.whatsapp.deviceOsName,
    protocolLogLevel: config.whatsapp.logLevel,
    clock,
    logger,
  })
}

const choresOf = (storage: Storage, outbox: Outbox, config: Config): readonly Chore[] => [
  { name: 'messages that nobody acknowledged', run: () => outbox.failStale() },
  ...(config.storage.messageRetentionMs > 0
    ? [{ name: 'messages', run: (now: number) => storage.messages.prune(now - config.storage.messageRetentionMs) }]
    : []),
  { name: 'journal', run: (now) => storage.signalKeys.pruneJournal(now - JOURNAL_KEPT_MS) },
  { name: 'stanza keys', run: (now) => storage.intake.prune(now - STANZA_KEYS_KEPT_MS) },
  { name: 'stanza failures', run: (now) => storage.stanzaFailures.prune(now - STANZA_FAILURES_KEPT_MS) },
  { name: 'idempotency keys', run: (now) => storage.idempotency.prune(now - IDEMPOTENCY_KEPT_MS) },
  {
    name: 'deliveries',
    run: (now) => storage.deliveries.prune(now - config.webhooks.deliveryRetentionDays * 24 * 3600_000),
  },
  { name: 'events', run: (now) => storage.events.prune(now - config.storage.eventRetentionMs) },
]
