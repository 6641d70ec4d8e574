import type { run } from 'node:test'

type RunEvent = ReturnType<typeof run> extends AsyncIterable<infer E> ? E : never

/** The part of an event's data that we read; node:test fills different parts for different events. */
export interface TestEvent {
  readonly type: string
  readonly data: {
    readonly name?: string
    readonly nesting?: number
    readonly skip?: string | boolean
    readonly todo?: string | boolean
    readonly message?: string
    readonly details?: { readonly type?: string; readonly error?: Error & { readonly failureType?: string } }
  }
}

/** Output of a file kept for its failure report; the end of it says most. */
const OUTPUT_LIMIT = 8_000

/**
 * What one test file did. A suite and the file itself are no tests, so they count only when they fail on their own
 * account: a hook that throws, a file that does not load, a process that ends badly or never.
 */
export class FileReport {
  readonly #file: string
  readonly #path: string
  readonly #failures: { readonly name: string; readonly reason: string }[] = []
  #passed = 0
  #output = ''
  #wasReported = false

  /**
   * @param file as given to node:test, which calls the file's own entry that
   * @param path what people read
   */
  constructor(file: string, path: string) {
    this.#file = file
    this.#path = path
  }

  get passed(): number {
    return this.#passed
  }

  get failed(): number {
    return this.#failures.length
  }

  add({ type, data }: TestEvent | RunEvent): void {
    const event = data as TestEvent['data']
    if (
      type === 'test:stdout' ||
      type === 'test:stderr' ||
      (type === 'test:diagnostic' && /^Error:/.test(event.message ?? ''))
    ) {
      this.#output = `${this.#output}${event.message ?? ''}`.slice(-OUTPUT_LIMIT)
    }
    if (type === 'test:pass') this.#addPass(event)
    if (type === 'test:fail') this.#addFailure(event)
  }

  #isFile({ name, nesting }: TestEvent['data']): boolean {
    return nesting === 0 && name === this.#file
  }

  #addPass(event: TestEvent['data']): void {
    if (this.#isFile(event)) {
      this.#wasReported = true
      if (this.#passed + this.failed === 0) this.#fail('(the file)', 'it has no tests')
      return
    }
    if (event.details?.type === 'suite') return
    if (event.skip !== undefined) this.#fail(event.name!, `skipped${reasonOf(event.skip)}`)
    else if (event.todo !== undefined) this.#fail(event.name!, `not written yet${reasonOf(event.todo)}`)
    else this.#passed += 1
  }

  #addFailure(event: TestEvent['data']): void {
    const error = event.details?.error
    const isByChildren = error?.failureType === 'subtestsFailed'
    if (this.#isFile(event)) {
      this.#wasReported = true
      if (!isByChildren || this.failed === 0) this.#fail('(the file)', `${describeError(error)}\n${this.#output}`)
      return
    }
    if (event.details?.type === 'suite' && isByChildren) return
    this.#fail(event.name!, describeError(error))
  }

  #fail(name: string, reason: string): void {
    this.#failures.push({ name, reason })
  }

  /** The file's line, and its failures in full. Called once, when its process has ended. */
  finish(milliseconds: number): string {
    if (!this.#wasReported && this.#passed + this.failed === 0)
      this.#fail('(the file)', `it has no tests\n${this.#output}`)
    const mark = this.failed === 0 ? 'ok  ' : 'FAIL'
    const counts = this.failed === 0 ? `${this.#passed} passed` : `${this.#passed} passed, ${this.failed} failed`
    const head = `${mark} ${this.#path} (${counts}, ${Math.round(milliseconds)} ms)\n`
    return head + this.#failures.map(({ name, reason }) => `     x ${name}\n${indent(reason)}\n`).join('')
  }
}

const reasonOf = (mark: string | boolean): string => (typeof mark === 'string' && mark !== '' ? `: ${mark}` : '')

/** node:test wraps what the test threw; its cause is the thing itself. */
const describeError = (error: Error | undefined): string => {
  const thrown = error?.cause ?? error
  if (!(thrown instanceof Error)) return String(thrown ?? 'failed without saying why')
  return (thrown.stack ?? thrown.message)
    .split('\n')
    .filter((line) => !/^\s+at .*node:internal/.test(line))
    .slice(0, 40)
    .join('\n')
}

const indent = (text: string): string =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => `         ${line}`)
    .join('\n')
