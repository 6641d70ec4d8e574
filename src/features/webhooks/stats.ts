import type { FinishedDelivery } from '../../storage/index.ts'

/** The value below which `share` of them lie (nearest rank); null when there are none. `sorted` ascending. */
const percentile = (sorted: readonly number[], share: number): number | null =>
  sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null

const spread = (values: readonly number[]) => {
  const sorted = values.toSorted((a, b) => a - b)
  return {
    p50: percentile(sorted, 0.5),
    p90: percentile(sorted, 0.9),
    p99: percentile(sorted, 0.99),
    max: sorted.at(-1) ?? null,
  }
}

export const showStats = (finished: readonly FinishedDelivery[]) => {
  const delivered = finished.filter(({ state }) => state === 'success')
  return {
    deliveries: finished.length,
    success_rate: finished.length === 0 ? null : Math.round((delivered.length / finished.length) * 10_000) / 100,
    latency_ms: spread(finished.flatMap(({ latencyMs }) => latencyMs ?? [])),
    total_ms: spread(delivered.map(({ totalMs }) => totalMs)),
  }
}
