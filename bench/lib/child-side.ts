import type { Answer, Question } from './child.ts'

type Answers = Readonly<Record<string, (argument: never) => unknown>>

/** The other side of `child.ts`: says that it is ready, answers questions, ends with its parent. */
export const serveParent = (ready: Readonly<Record<string, unknown>>, answers: Answers = {}): void => {
  const all: Answers = { cpu: cpuTime, ...answers }
  const answer = async ({ question, argument }: Question): Promise<Answer> => {
    try {
      return { value: await all[question]?.(argument as never) }
    } catch (error) {
      return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    }
  }
  process.on('message', (question: Question) => void answer(question).then((said) => process.send!(said)))
  process.on('disconnect', () => process.exit(0))
  process.send!({ value: ready } satisfies Answer)
}

const cpuTime = (): number => {
  const { user, system } = process.cpuUsage()
  return user + system
}
