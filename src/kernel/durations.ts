const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g
const WHOLE = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/

/**
 * Milliseconds of `500ms`, `1.5s`, `10m`, `24h`, `7d` or a chain such as `1h30m`; a bare `0` is zero.
 * Undefined when the text is anything else (a bare number has no unit, so it is refused) or beyond a safe integer.
 */
export const parseDuration = (text: string): number | undefined => {
  const given = text.trim().toLowerCase()
  if (given === '0') return 0
  if (!WHOLE.test(given)) return undefined
  let total = 0
  for (const [, amount, unit] of given.matchAll(PART)) total += Number(amount) * UNITS[unit!]!
  const rounded = Math.round(total)
  return Number.isSafeInteger(rounded) ? rounded : undefined
}

/** A running time as `3h 12m 9s`: units before the first that counts are left out, seconds are cut and always there. */
export const formatUptime = (milliseconds: number): string => {
  const seconds = Math.max(0, Math.floor(milliseconds / 1_000))
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const
  const first = parts.findIndex(([amount], i) => amount > 0 || i === parts.length - 1)
  return parts
    .slice(first)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join(' ')
}
