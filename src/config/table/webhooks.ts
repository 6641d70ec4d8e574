import { bool, duration, int, list, readNetworkOrHost } from '../setting.ts'

export const webhookSettings = {
  enabled: bool('WEBHOOKS_ENABLED', true, { means: 'Delivers events to webhooks.' }),
  workers: int('WEBHOOK_WORKERS', 4, { min: 1, max: 32, belowIsDefault: true, means: 'Deliveries under way at once.' }),
  retryLimit: int('WEBHOOK_RETRY_LIMIT', 3, {
    min: 1,
    max: 10,
    belowIsDefault: true,
    means: 'Attempts per delivery, the first included.',
  }),
  maxPerDevice: int('WEBHOOK_MAX_PER_DEVICE', 5, { min: 1, max: 20, means: 'Webhooks one device may have.' }),
  appStateEvents: bool('WHATSAPP_APPSTATE_WEBHOOK_ENABLED', false, { means: 'Sends the `appstate.*` events.' }),
  cacheTtlSeconds: int('WEBHOOK_CACHE_TTL_SECONDS', 60, {
    min: Number.MIN_SAFE_INTEGER,
    max: 86_400,
    means: "How long a device's list of webhooks is kept in memory, in seconds; 0 or less turns that off.",
  }),
  deliveryRetentionDays: int('WEBHOOK_DELIVERY_RETENTION_DAYS', 7, {
    min: 1,
    max: 3_650,
    means: 'Days that delivery logs are kept.',
  }),
  allowHttp: bool('WEBHOOK_ALLOW_HTTP', false, { means: 'Permits receivers without TLS.' }),
  allowedNetworks: list('WEBHOOK_ALLOWED_NETWORKS', '', {
    allowed: 'CIDR blocks and host names, comma-separated',
    means: 'Receivers inside these may have private addresses; elsewhere those are refused.',
    item: readNetworkOrHost,
  }),
  maxAgeMs: duration('WEBHOOK_MAX_AGE', '24h', {
    min: '1s',
    max: '30d',
    means: 'How long an event is retried while its receiver is down.',
  }),
}
