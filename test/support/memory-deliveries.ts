import type {
  DeadLetter,
  DeliveryRepository,
  DeliveryResult,
  DeliveryRow,
  DueDelivery,
  EventRow,
  WebhookStats,
} from '../../src/storage/index.ts'

interface Stored {
  row: DeliveryRow
  readonly event: EventRow
  nextAttemptAt: number
}

/** The delivery queue in memory, as plainly as its port describes it: the model that the real ones are measured against. */
export class MemoryDeliveries implements DeliveryRepository {
  readonly #stored = new Map<number, Stored>()
  #nextId = 1
  #nextSequence = 1
  /** Set to make every call fail. */
  away: Error | undefined
  settledBatches: number[] = []

  /** Adds a pending delivery and answers its id. */
  add(webhookId: number, orderKey: string | undefined, label: string, now: number): number {
    const id = this.#nextId++
    const sequence = this.#nextSequence++
    const event: EventRow = {
      deviceId: 'device',
      sequence,
      eventId: `event-${sequence}`,
      type: 'test.ping',
      orderKey,
      payload: { message: label },
      occurredAt: now,
    }
    const row: DeliveryRow = {
      id,
      webhookId,
      deviceId: 'device',
      sequence,
      eventType: 'test.ping',
      state: 'pending',
      redelivered: false,
      attemptCount: 0,
      refusalCount: 0,
      lastError: '',
      lastStatusCode: undefined,
      lastLatencyMs: undefined,
      createdAt: now,
      updatedAt: now,
    }
    this.#stored.set(id, { row, event, nextAttemptAt: now })
    return id
  }

  get(id: number): DeliveryRow {
    return this.#stored.get(id)!.row
  }

  count(state: DeliveryRow['state']): number {
    return [...this.#stored.values()].filter(({ row }) => row.state === state).length
  }

  async due(webhookId: number, now: number, limit: number, busy: ReadonlySet<string>): Promise<readonly DueDelivery[]> {
    this.#check()
    const seen = new Set<string>()
    const found: (DueDelivery & { readonly dueAt: number })[] = []
    for (const { row, event, nextAttemptAt } of this.#pending(webhookId)) {
      const key = event.orderKey ?? ''
      if (seen.has(key)) continue
      seen.add(key)
      if (nextAttemptAt <= now && !busy.has(key))
        found.push({ delivery: row, event, orderKey: event.orderKey, dueAt: nextAttemptAt })
    }
    return found.toSorted((a, b) => a.dueAt - b.dueAt || a.delivery.id - b.delivery.id).slice(0, limit)
  }

  async nextDue(webhookId: number, now: number): Promise<number | undefined> {
    this.#check()
    const later = this.#pending(webhookId).flatMap(({ nextAttemptAt }) => (nextAttemptAt > now ? nextAttemptAt : []))
    return later.length > 0 ? Math.min(...later) : undefined
  }

  async waiting(): Promise<readonly { readonly webhookId: number; readonly dueAt: number }[]> {
    this.#check()
    const ids = new Set([...this.#stored.values()].flatMap(({ row }) => (row.state === 'pending' ? row.webhookId : [])))
    return [...ids].map((webhookId) => ({
      webhookId,
      dueAt: Math.min(...this.#pending(webhookId).map(({ nextAttemptAt }) => nextAttemptAt)),
    }))
  }

  async settle(results: readonly DeliveryResult[], now: number): Promise<void> {
    this.#check()
    this.settledBatches.push(results.length)
    for (const { id, nextAttemptAt, ...change } of results) {
      const stored = this.#stored.get(id)
      if (!stored) continue
      stored.row = { ...stored.row, ...change, updatedAt: now }
      if (nextAttemptAt !== undefined) stored.nextAttemptAt = nextAttemptAt
    }
  }

  async expire(createdBefore: number, now: number, limit: number): Promise<number> {
    this.#check()
    const old = [...this.#stored.values()].filter(({ row }) => row.state === 'pending' && row.createdAt < createdBefore)
    for (const stored of old.slice(0, limit))
      stored.row = {
        ...stored.row,
        state: 'failed',
        updatedAt: now,
        lastError: stored.row.lastError === '' ? 'gave up: too old' : `gave up: ${stored.row.lastError}`,
      }
    return Math.min(old.length, limit)
  }

  async logs(webhookId: number, limit: number): Promise<readonly DeliveryRow[]> {
    return [...this.#stored.values()]
      .map(({ row }) => row)
      .filter((row) => row.webhookId === webhookId && (row.state !== 'pending' || row.attemptCount > 0))
      .toSorted((a, b) => b.updatedAt - a.updatedAt || b.id - a.id)
      .slice(0, limit)
  }

  async stats() {
    const [successDeliveries, failedDeliveries, pendingDeliveries] = [
      this.count('success'),
      this.count('failed'),
      this.count('pending'),
    ]
    return { totalDeliveries: this.#stored.size, successDeliveries, failedDeliveries, pendingDeliveries }
  }

  async deadLetters(webhookId: number, before: number | undefined, limit: number): Promise<readonly DeadLetter[]> {
    return [...this.#stored.values()]
      .filter(({ row }) => row.webhookId === webhookId && row.state === 'failed' && row.id < (before ?? Infinity))
      .toReversed()
      .slice(0, limit)
      .map(({ row, event }) => ({ delivery: row, event }))
  }

  async redrive(
    webhookId: number,
    ids: readonly number[] | undefined,
    now: number,
    limit: number,
  ): Promise<readonly number[]> {
    this.#check()
    const dead = [...this.#stored.values()].filter(
      ({ row }) => row.webhookId === webhookId && row.state === 'failed' && (ids?.includes(row.id) ?? true),
    )
    for (const stored of dead.slice(0, limit)) {
      stored.row = {
        ...stored.row,
        state: 'pending',
        redelivered: true,
        refusalCount: 0,
        createdAt: now,
        updatedAt: now,
      }
      stored.nextAttemptAt = now
    }
    return dead.slice(0, limit).map(({ row }) => row.id)
  }

  async hasten(webhookId: number, now: number): Promise<void> {
    for (const stored of this.#pending(webhookId)) stored.nextAttemptAt = Math.min(stored.nextAttemptAt, now)
  }

  async statsOf(webhookId: number, window: number): Promise<WebhookStats> {
    const own = [...this.#stored.values()].map(({ row }) => row).filter((row) => row.webhookId === webhookId)
    const pending = own.filter(({ state }) => state === 'pending')
    return {
      pending: pending.length,
      oldestPendingAt: pending.length > 0 ? Math.min(...pending.map(({ createdAt }) => createdAt)) : undefined,
      deadLetters: own.filter(({ state }) => state === 'failed').length,
      finished: own
        .flatMap(({ state, lastLatencyMs, createdAt, updatedAt }) =>
          state === 'pending' ? [] : [{ state, latencyMs: lastLatencyMs, totalMs: updatedAt - createdAt, updatedAt }],
        )
        .toSorted((a, b) => b.updatedAt - a.updatedAt)
        .slice(0, window)
        .map(({ state, latencyMs, totalMs }) => ({ state, latencyMs, totalMs })),
    }
  }

  async prune(before: number): Promise<number> {
    const old = [...this.#stored.values()].filter(({ row }) => row.state !== 'pending' && row.updatedAt < before)
    for (const { row } of old) this.#stored.delete(row.id)
    return old.length
  }

  #pending(webhookId: number): Stored[] {
    return [...this.#stored.values()].filter(({ row }) => row.webhookId === webhookId && row.state === 'pending')
  }

  #check(): void {
    if (this.away) throw this.away
  }
}
