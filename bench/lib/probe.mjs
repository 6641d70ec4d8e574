// Looks into the gateway as it is built, by `node --import`. Plain JavaScript, because loading the type stripper would
// itself be measured. Speaks what `child.ts` speaks.
const answers = {
  cpu: () => {
    const { user, system } = process.cpuUsage()
    return user + system
  },
  /** As the process stands; `collected` first lets the garbage collector finish. */
  memory: (collected) => {
    if (collected) for (let round = 0; round < 3; round += 1) globalThis.gc?.()
    return process.memoryUsage()
  },
}

process.on('message', ({ question, argument }) => {
  const answer = answers[question]
  process.send(answer ? { value: answer(argument) } : { error: `no answer to ${question}` })
})
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'))
