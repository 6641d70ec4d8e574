const LATER = 'Accepted, but nothing in this version acts on it yet'
const NO_REPLY_CACHE = 'Accepted, but without effect: a reply belongs to one caller, so replies are never cached'

/** Settings of the contract that change nothing, and why: the reference page says so. `test/architecture` keeps it true. */
export const NO_EFFECT: Readonly<Record<string, string>> = {
  HTTP_CACHE_CAPACITY: NO_REPLY_CACHE,
  HTTP_CACHE_TTL_SECONDS: NO_REPLY_CACHE,
  LIBWEBP_VERSION: 'Accepted, but without effect: there is no separate libwebp',
  WEBHOOK_CACHE_TTL_SECONDS: 'Accepted, but without effect: subscriptions are in memory and never stale',
  METRICS_TOKEN: LATER,
  WHATSAPP_APPSTATE_WEBHOOK_ENABLED: LATER,
  WHATSAPP_AUTO_REPLY_ENABLED: LATER,
  WHATSAPP_DEVICE_RECOVERY_CRON_SPEC: LATER,
  WHATSAPP_ENABLE_DEVICE_RECOVERY_CRON: LATER,
  WHATSAPP_ENABLE_HEALTH_CHECK_CRON: LATER,
  WHATSAPP_ENABLE_WAVERSION_REFRESH_CRON: LATER,
  WHATSAPP_GROUP_LIST_CACHE_DISABLED: LATER,
  WHATSAPP_GROUP_LIST_CACHE_TTL: LATER,
  WHATSAPP_WAVERSION_REFRESH_CRON_FORCE: LATER,
  WHATSAPP_WAVERSION_REFRESH_CRON_SPEC: LATER,
}
