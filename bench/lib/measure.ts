import type { ServerChild } from './child.ts'

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Milliseconds on the machine's monotonic clock, which all processes share. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6

/** What a process uses while nothing is asked of it: microseconds of CPU a second. */
export const idleCpu = async (child: ServerChild, ms = 3_000): Promise<number> => {
  const [before, at] = [await child.cpu(), performance.now()]
  await pause(ms)
  return ((await child.cpu()) - before) / ((performance.now() - at) / 1000)
}

/** Microseconds of CPU that `work` cost a process, without what it uses when idle. */
export const cpuOf = async (
  child: ServerChild,
  idlePerSecond: number,
  work: () => Promise<unknown>,
): Promise<number> => {
  const [before, at] = [await child.cpu(), performance.now()]
  await work()
  return (await child.cpu()) - before - idlePerSecond * ((performance.now() - at) / 1000)
}
