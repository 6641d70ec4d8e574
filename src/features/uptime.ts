import { formatUptime } from '../kernel/durations.ts'

/** `3d 0h 12m 9s`, leading zero units dropped: `12m 9s`. */
export const showUptime = (milliseconds: number): string =>
  formatUptime(milliseconds).replace(/^0d (?:0h (?:0m )?)?/, '')
