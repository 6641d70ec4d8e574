/** The other side of `child.ts`: says that it is ready, answers questions, ends with its parent. */
export const serveParent = (
  ready: Readonly<Record<string, unknown>>,
  answers: Readonly<Record<string, () => unknown>> = {},
): void => {
  process.on('message', (question: string) => {
    if (question === 'cpu') {
      const { user, system } = process.cpuUsage()
      process.send!(user + system)
    } else process.send!(answers[question]?.() ?? null)
  })
  process.on('disconnect', () => process.exit(0))
  process.send!(ready)
}
