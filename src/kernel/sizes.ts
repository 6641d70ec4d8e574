const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

/** Bytes of `8M`, `512k`, `10G` (1024 based, either case) or a plain number; undefined when it is anything else. */
export const parseSize = (text: string): number | undefined => {
  const found = /^(\d+(?:\.\d+)?)\s*([kmg]?)b?$/i.exec(text.trim())
  if (!found) return undefined
  const bytes = Math.floor(Number(found[1]) * UNITS[found[2]!.toLowerCase()]!)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** The shortest exact way to write a size: 8388608 -> `8M`, 1500 -> `1500`. */
export const formatSize = (bytes: number): string => {
  if (bytes === 0) return '0'
  for (const unit of ['g', 'm', 'k']) {
    const size = UNITS[unit]!
    if (bytes % size === 0) return `${bytes / size}${unit.toUpperCase()}`
  }
  return String(bytes)
}
