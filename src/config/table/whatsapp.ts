import { bool, cron, duration, int, oneOf, readHex32, readUrl, size, text, Unacceptable } from '../setting.ts'

const anyText = (given: string): string => given
const ANY = Number.MAX_SAFE_INTEGER

const readHttpsOrigin = (given: string): string => {
  const url = URL.canParse(given) ? new URL(given) : undefined
  if (url?.protocol !== 'https:' || url.pathname !== '/' || url.search !== '' || url.username !== '') {
    throw new Unacceptable('must be an https:// origin without a path')
  }
  return url.origin
}

const readOsName = (given: string): string => {
  if (given.length > 50) throw new Unacceptable('must have at most 50 characters')
  return given
}

export const whatsappSettings = {
  webUrl: text('WHATSAPP_WEB_URL', 'wss://web.whatsapp.com/ws/chat', {
    allowed: 'ws:// or wss:// URL',
    means: 'WebSocket of the WhatsApp service.',
    read: readUrl('ws', 'wss'),
  }),
  noiseRoot: text('WHATSAPP_NOISE_ROOT', undefined, {
    allowed: '32 bytes as hex',
    means: 'Root public key of the service, when it is not WhatsApp.',
    read: readHex32,
  }),
  mediaOrigin: text('WHATSAPP_MEDIA_ORIGIN', undefined, {
    allowed: 'https origin',
    means: 'Replaces every media host.',
    read: readHttpsOrigin,
  }),
  tlsCaFile: text('WHATSAPP_TLS_CA_FILE', undefined, {
    allowed: 'path of a PEM file',
    means: 'Extra certificate authority for the service.',
    read: anyText,
  }),
  tlsInsecure: bool('WHATSAPP_TLS_INSECURE', false, {
    means: 'Skips TLS verification; refused unless `WHATSAPP_WEB_URL` and `WHATSAPP_MEDIA_ORIGIN` are on loopback.',
  }),
  proxyUrl: text('WHATSAPP_CLIENT_PROXY_URL', '', {
    allowed: 'http://, https:// or socks5:// URL',
    means: "Proxy for WhatsApp traffic; a device's own proxy wins.",
    secret: true,
    read: (given) => (given === '' ? '' : readUrl('http', 'https', 'socks5')(given)),
  }),
  deviceOsName: text('WHATSAPP_DEVICE_OS_NAME', 'Chrome', {
    allowed: 'up to 50 characters',
    means: 'Name shown under linked devices.',
    read: readOsName,
  }),
  logLevel: oneOf('WHATSAPP_LOG_LEVEL', 'ERROR', {
    values: ['DEBUG', 'INFO', 'WARN', 'ERROR'],
    means: 'What the WhatsApp library logs.',
  }),
}

export const versionSettings = {
  major: int('WHATSAPP_VERSION_MAJOR', undefined, { min: 2, max: 2, means: 'WhatsApp Web version, first number.' }),
  minor: int('WHATSAPP_VERSION_MINOR', undefined, { min: 3000, max: ANY, means: 'Second number.' }),
  patch: int('WHATSAPP_VERSION_PATCH', undefined, { min: 1_019_175_440, max: ANY, means: 'Third number.' }),
  url: text('WHATSAPP_VERSION_URL', 'https://web.whatsapp.com/sw.js', {
    allowed: 'URL',
    means: 'Where the current version is read from.',
    read: readUrl('https', 'http'),
  }),
  refreshMinIntervalMs: duration('WHATSAPP_WAVERSION_REFRESH_MIN_INTERVAL', '10m', {
    zero: 'no throttle',
    means: 'Least time between unforced refreshes.',
  }),
  refreshCronEnabled: bool('WHATSAPP_ENABLE_WAVERSION_REFRESH_CRON', false, { means: 'Refresh on a schedule.' }),
  refreshCronSpec: cron('WHATSAPP_WAVERSION_REFRESH_CRON_SPEC', '0 0 3 * * *', { means: 'That schedule.' }),
  refreshCronForce: bool('WHATSAPP_WAVERSION_REFRESH_CRON_FORCE', false, {
    means: 'A scheduled refresh ignores the throttle.',
  }),
}

export const reconnectSettings = {
  concurrency: int('WHATSAPP_STARTUP_RECONNECT_CONCURRENCY', 10, {
    min: 1,
    max: 100,
    means: 'Devices that reconnect at once during start.',
  }),
  jitterMaxMs: duration('WHATSAPP_STARTUP_RECONNECT_JITTER_MAX', '5s', {
    zero: 'none',
    means: 'Random wait before each reconnect at start.',
  }),
  retries: int('WHATSAPP_STARTUP_RECONNECT_RETRIES', 3, { min: 1, max: 10, means: 'Attempts per device at start.' }),
  backoffBaseMs: duration('WHATSAPP_STARTUP_RECONNECT_BACKOFF_BASE', '2s', { means: 'First wait between attempts.' }),
  backoffMaxMs: duration('WHATSAPP_STARTUP_RECONNECT_BACKOFF_MAX', '30s', { means: 'Longest wait between attempts.' }),
  healthCronEnabled: bool('WHATSAPP_ENABLE_HEALTH_CHECK_CRON', false, {
    means: 'A health pass over loaded devices every 5 minutes.',
  }),
  recoveryCronEnabled: bool('WHATSAPP_ENABLE_DEVICE_RECOVERY_CRON', true, {
    means: 'Periodically brings back devices that are offline.',
  }),
  recoveryCronSpec: cron('WHATSAPP_DEVICE_RECOVERY_CRON_SPEC', '0 */2 * * * *', { means: 'That schedule.' }),
}

export const behaviourSettings = {
  autoPresence: bool('WHATSAPP_AUTO_PRESENCE_ENABLED', true, {
    means: 'Goes online while sending; off also turns the typing simulation off.',
  }),
  autoTyping: bool('WHATSAPP_AUTO_TYPING_ENABLED', true, { means: 'Shows typing before a message is sent.' }),
  typingDelayMinMs: duration('WHATSAPP_TYPING_DELAY_MIN', '1s', { means: 'Shortest typing delay.' }),
  typingDelayMaxMs: duration('WHATSAPP_TYPING_DELAY_MAX', '3s', {
    means: 'Longest typing delay; raised to the shortest when smaller.',
  }),
  readReceiptJitter: bool('WHATSAPP_READ_RECEIPT_JITTER_ENABLED', true, {
    means: 'Delays automatic read receipts by a random time.',
  }),
  readReceiptDelayMinMs: duration('WHATSAPP_READ_RECEIPT_DELAY_MIN', '500ms', {
    zero: 'none',
    means: 'Shortest delay of a read receipt.',
  }),
  readReceiptDelayMaxMs: duration('WHATSAPP_READ_RECEIPT_DELAY_MAX', '2s', {
    zero: 'none',
    means: 'Longest delay of a read receipt; raised to the shortest when smaller.',
  }),
  autoMarkRead: bool('WHATSAPP_AUTO_MARK_READ', false, {
    means: 'Marks incoming messages as read; not our own, stories or broadcasts.',
  }),
  autoReply: bool('WHATSAPP_AUTO_REPLY_ENABLED', false, { means: 'Switch for automatic replies.' }),
}

export const rateLimitSettings = {
  enabled: bool('WHATSAPP_RATE_LIMIT_ENABLED', false, { means: 'Limits what each device sends.' }),
  perMinute: int('WHATSAPP_RATE_LIMIT_MSG_PER_MINUTE', 20, {
    min: 1,
    max: 100,
    belowIsDefault: true,
    means: 'Messages a minute and device in the long run.',
  }),
  burst: int('WHATSAPP_RATE_LIMIT_BURST_SIZE', 5, {
    min: 1,
    max: 50,
    means: 'Messages allowed at once; never more than the number a minute.',
  }),
}

export const mediaSettings = {
  imageCompression: bool('WHATSAPP_MEDIA_IMAGE_COMPRESSION', true, { means: 'Shrinks images before they are sent.' }),
  convertWebp: bool('WHATSAPP_MEDIA_IMAGE_CONVERT_WEBP', true, { means: 'Turns WebP images into PNG.' }),
  autoDownload: bool('WHATSAPP_AUTO_DOWNLOAD_MEDIA', false, { means: 'Fetches incoming media by itself.' }),
  storeDir: text('MEDIA_STORE_DIR', './data/media', {
    allowed: 'a folder',
    means: 'Decrypted media, named by content.',
    read: anyText,
  }),
  storeMaxBytes: size('MEDIA_STORE_MAX_SIZE', '10G', {
    zero: 'off',
    means: 'Cap of that folder; what was used longest ago goes first.',
  }),
  libwebpVersion: text('LIBWEBP_VERSION', '0.6.1', {
    allowed: '0.6.1, 1.0.0 or later',
    means: 'Label of the libwebp version; kept so that old `.env` files work.',
    read: (given) => {
      if (!/^\d+\.\d+\.\d+$/.test(given)) throw new Unacceptable('must be a version such as 1.0.0')
      return given
    },
  }),
}

export const cacheSettings = {
  groupListTtlMs: duration('WHATSAPP_GROUP_LIST_CACHE_TTL', '5m', { means: 'Lifetime of cached group lists.' }),
  groupListDisabled: bool('WHATSAPP_GROUP_LIST_CACHE_DISABLED', false, { means: 'Turns that cache off.' }),
  lookupEnabled: bool('WHATSAPP_ISON_CACHE_ENABLED', false, {
    means: 'Caches whether a number is on WhatsApp.',
  }),
  lookupTtlMs: duration('WHATSAPP_ISON_CACHE_TTL', '5m', { means: 'Lifetime of such an answer.' }),
  lookupMax: int('WHATSAPP_ISON_CACHE_MAX', 1000, { min: 1, max: 1_000_000, means: 'Most answers kept.' }),
  lookupBatchSize: int('WHATSAPP_ISON_BATCH_SIZE', 50, {
    min: 1,
    max: 1_000,
    means: 'Most numbers asked about in one query: those of sends that come at the same time go together.',
  }),
}
