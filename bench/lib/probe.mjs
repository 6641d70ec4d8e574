// Looks into the gateway as it is built, by `node --import`. Plain JavaScript, because loading the type stripper would
// itself be measured. Speaks what `child.ts` speaks.
const answers = {
  cpu: () => {
    const { user, system } = process.cpuUsage()
    return user + system
  },
  /** As the process stands; `collected`: after all garbage, and the pages V8 keeps for re-use, have been given back. */
  memory: (collected) => {
    if (collected) globalThis.gc({ type: 'major', execution: 'sync', flavor: 'last-resort' })
    return process.memoryUsage()
  },
}

process.on('message', ({ question, argument }) => {
  const answer = answers[question]
  process.send(answer ? { value: answer(argument) } : { error: `no answer to ${question}` })
})
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'))
