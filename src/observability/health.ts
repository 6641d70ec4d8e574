import { formatUptime } from '../kernel/durations.ts'

/** How this process does, in the words of `GET /admin/health`. */
export interface ProcessHealth {
  /** JavaScript heap in use: `48.2 MB`. */
  readonly memoryAlloc: string
  /** Memory the system counts for this process (resident set). */
  readonly memorySys: string
  /** `3h 12m 9s`. */
  readonly uptime: string
  readonly uptimeSeconds: number
  /** `v24.21.0`. */
  readonly nodeVersion: string
}

export const readProcessHealth = (): ProcessHealth => {
  const { heapUsed, rss } = process.memoryUsage()
  const seconds = process.uptime()
  return {
    memoryAlloc: formatMemory(heapUsed),
    memorySys: formatMemory(rss),
    uptime: formatUptime(seconds * 1_000),
    uptimeSeconds: Math.floor(seconds),
    nodeVersion: process.version,
  }
}

/** 1536 -> `1.5 KB`; below 1 KB whole bytes: `512 B`. Units are 1024 based. */
export const formatMemory = (bytes: number): string => {
  if (bytes < 1024) return `${Math.round(bytes)} B`
  const units = ['KB', 'MB', 'GB', 'TB']
  let amount = bytes / 1024
  let unit = 0
  // 1023.95 would be written as 1024.0.
  while (amount >= 1023.95 && unit < units.length - 1) {
    amount /= 1024
    unit += 1
  }
  return `${amount.toFixed(1)} ${units[unit]}`
}
