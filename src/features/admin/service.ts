import type { Clock } from '../../kernel/clock.ts'
import { isParleyError } from '../../kernel/errors.ts'
import type { ReconnectResult, Sessions } from '../../sessions/index.ts'
import type { DeviceRow, Storage } from '../../storage/index.ts'
import { rfc3339, rfc3339OrNull, showLive, showLiveError } from '../common.ts'
import { showUptime } from '../uptime.ts'

export interface AdminServiceParts {
  readonly storage: Pick<Storage, 'apiKeys' | 'devices' | 'webhooks' | 'deliveries' | 'stanzaFailures' | 'ping'>
  readonly sessions: Pick<Sessions, 'status' | 'count' | 'reconnectAll'>
  readonly clock: Pick<Clock, 'now'>
  readonly version: string
  /** What was refused since the start because it does not verify, by kind. */
  readonly refusals: () => Readonly<Record<string, number>>
  readonly startedAt: number
}

const UNITS = ['KB', 'MB', 'GB', 'TB'] as const

/** `812 B`, `12.3 MB`. */
export const showBytes = (bytes: number): string => {
  if (bytes < 1_024) return `${bytes} B`
  const power = Math.min(UNITS.length, Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 1_024 ** power).toFixed(1)} ${UNITS[power - 1]}`
}

const countBy = (devices: readonly DeviceRow[], ...statuses: readonly DeviceRow['status'][]): number =>
  devices.filter(({ status }) => statuses.includes(status)).length

const countResults = (results: readonly ReconnectResult[], ...statuses: readonly ReconnectResult['status'][]): number =>
  results.filter(({ status }) => statuses.includes(status)).length

/** The operator's view over all customers. */
export class AdminService {
  readonly #parts: AdminServiceParts

  constructor(parts: AdminServiceParts) {
    this.#parts = parts
  }

  async stats() {
    const { apiKeys, devices, webhooks } = this.#parts.storage
    const [keys, rows, hooks] = await Promise.all([apiKeys.list(), devices.list(), webhooks.listAll()])
    return {
      total_api_keys: keys.length,
      active_api_keys: keys.filter(({ isActive }) => isActive).length,
      total_devices: rows.length,
      connected_devices: countBy(rows, 'active'),
      disconnected_devices: countBy(rows, 'disconnected'),
      pending_devices: countBy(rows, 'pending'),
      logged_out_devices: countBy(rows, 'logged_out'),
      total_webhooks: hooks.length,
      active_webhooks: hooks.filter(({ active }) => active).length,
    }
  }

  async stanzaFailures(limit: number) {
    const rows = await this.#parts.storage.stanzaFailures.list(limit)
    return {
      failures: rows.map(({ deviceId, tag, attempts, error, firstAt, lastAt, givenUp }) => ({
        device_id: deviceId,
        tag,
        attempts,
        error,
        first_at: rfc3339(firstAt),
        last_at: rfc3339(lastAt),
        given_up: givenUp,
      })),
    }
  }

  /** Answers even when the database does not: that is what it is asked for. */
  async health() {
    const { sessions, clock, startedAt, version, refusals } = this.#parts
    const [database, counts] = await Promise.all([this.#askDatabase(), this.#countForHealth()])
    const memory = process.memoryUsage()
    const uptime = clock.now() - startedAt
    return {
      status: database === 'ok' ? ('ok' as const) : ('degraded' as const),
      database,
      whatsapp_clients: sessions.count(),
      total_devices: counts?.devices ?? 0,
      memory_alloc: showBytes(memory.heapUsed),
      memory_sys: showBytes(memory.rss),
      goroutines: process.getActiveResourcesInfo().length,
      uptime: showUptime(uptime),
      uptime_seconds: Math.floor(uptime / 1_000),
      version,
      go_version: `node ${process.version}`,
      refused: { ...refusals() },
      ...(counts ? { api_keys: counts.keys, active_api_keys: counts.activeKeys } : {}),
    }
  }

  async devices() {
    const rows = await this.#parts.storage.devices.list()
    return {
      devices: rows.map((row) => ({
        device_id: row.deviceId,
        device_name: row.deviceName,
        api_key_id: row.apiKeyId,
        customer_name: row.customerName,
        whatsmeow_jid: row.jid ?? '',
        status: row.status,
        created_at: rfc3339(row.createdAt),
        last_active_at: rfc3339OrNull(row.lastActiveAt),
      })),
      summary: {
        total: rows.length,
        connected: countBy(rows, 'active'),
        disconnected: countBy(rows, 'disconnected', 'logged_out'),
        pending: countBy(rows, 'pending'),
      },
    }
  }

  async devicesStatus() {
    const rows = await this.#parts.storage.devices.list()
    const devices = rows.map((row) => {
      const live = this.#parts.sessions.status(row.deviceId)
      return {
        device_id: row.deviceId,
        device_name: row.deviceName,
        whatsmeow_jid: row.jid ?? '',
        db_status: row.status,
        ...showLive(live),
        ...showLiveError(live),
        customer_name: row.customerName,
      }
    })
    const online = devices.filter(({ connected }) => connected).length
    return { devices, summary: { total: devices.length, online, offline: devices.length - online } }
  }

  async reconnect() {
    const results = await this.#parts.sessions.reconnectAll()
    return {
      results: results.map(({ deviceId, deviceName, status, error }) => ({
        device_id: deviceId,
        device_name: deviceName,
        status,
        ...(error ? { error } : {}),
      })),
      summary: {
        total: results.length,
        reconnected: countResults(results, 'reconnected'),
        failed: countResults(results, 'failed'),
        skipped: countResults(results, 'skipped', 'already_connected'),
      },
    }
  }

  async webhookStats() {
    const { webhooks, deliveries } = this.#parts.storage
    const [hooks, stats] = await Promise.all([webhooks.listAll(), deliveries.stats()])
    const finished = stats.successDeliveries + stats.failedDeliveries
    return {
      total_webhooks: hooks.length,
      active_webhooks: hooks.filter(({ active }) => active).length,
      total_deliveries: stats.totalDeliveries,
      success_deliveries: stats.successDeliveries,
      failed_deliveries: stats.failedDeliveries,
      success_rate: finished === 0 ? 0 : Math.round((stats.successDeliveries / finished) * 10_000) / 100,
    }
  }

  async #askDatabase(): Promise<string> {
    try {
      await this.#parts.storage.ping()
      return 'ok'
    } catch (error) {
      return `error: ${isParleyError(error) ? error.message : 'the database does not answer'}`
    }
  }

  async #countForHealth() {
    const { apiKeys, devices } = this.#parts.storage
    try {
      const [keys, rows] = await Promise.all([apiKeys.list(), devices.list()])
      return {
        keys: keys.length,
        activeKeys: keys.filter(({ isActive }) => isActive).length,
        devices: rows.length,
      }
    } catch (error) {
      // `database` says it already; the counts are left out, as in the contract.
      if (error instanceof Error) return undefined
      throw error
    }
  }
}
