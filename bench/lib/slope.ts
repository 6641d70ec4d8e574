import { median } from './bench.ts'

/** How many blocks readings are gathered into: neighbours depend on each other, blocks hardly do. */
const BLOCKS = 12
/** Student's t, two-sided 95 %, for `BLOCKS` - 2 degrees of freedom. */
const T_95 = 2.228

/**
 * The straight line through readings: its slope and the 95 % confidence interval of that. Readings of a process's memory
 * follow each other too closely to count each for itself, so the line goes through the medians of blocks.
 */
export const slopeOf = (
  readings: readonly (readonly [number, number])[],
): { slope: number; low: number; high: number } => {
  if (readings.length < 2 * BLOCKS) throw new Error(`${readings.length} readings are too few for a slope`)
  const points = Array.from({ length: BLOCKS }, (_, block) => {
    const part = readings.slice(
      Math.floor((block * readings.length) / BLOCKS),
      Math.floor(((block + 1) * readings.length) / BLOCKS),
    )
    return [median(part.map(([x]) => x)), median(part.map(([, y]) => y))] as const
  })
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [meanX, meanY] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))]
  const sxx = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / sxx
  const residuals = points.reduce((sum, [x, y]) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0)
  const error = Math.sqrt(residuals / (BLOCKS - 2) / sxx)
  return { slope, low: slope - T_95 * error, high: slope + T_95 * error }
}
