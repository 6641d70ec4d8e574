// A sandbox with people, and strict clients linked to them.
import assert from 'node:assert/strict'
import type { Person, PersonSpec } from '../../src/phone/people.ts'
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/server.ts'
import type { ProblemKind } from '../../src/service/problem-log.ts'
import { Installation } from '../strict-client/installation.ts'
import { LinkingClient } from '../strict-client/linking.ts'
import { type LoginOptions, StrictClient } from '../strict-client/strict-client.ts'
import type { Endpoint } from '../strict-client/transport.ts'

/** A running sandbox; when it ends, no problem may be left in its log that the test did not expect. */
export class World implements AsyncDisposable {
  readonly sandbox: Sandbox

  private constructor(sandbox: Sandbox) {
    this.sandbox = sandbox
  }

  static async start(options: SandboxOptions = {}): Promise<World> {
    return new World(await startSandbox(options))
  }

  get endpoint(): Endpoint {
    const { ws, wss, ca, noiseRoot } = this.sandbox
    return { url: wss ?? ws, noiseRoot, ...(ca !== undefined && { ca }) }
  }

  person(name: string, spec: Partial<PersonSpec> = {}): Person {
    return this.sandbox.people.add({ name, ...spec })
  }

  /** Links a new companion by QR. */
  async link(person: Person, addressing?: 'lid' | 'pn'): Promise<Installation> {
    const own = new Installation(`${person.account.pushName}'s companion`, addressing)
    await using client = await LinkingClient.connect(this.endpoint, own)
    const [qr] = await client.showQr()
    await Promise.all([person.linking.scan(qr!), client.whenLinked()])
    return own
  }

  login(own: Installation, options?: LoginOptions): Promise<StrictClient> {
    return StrictClient.login(this.endpoint, own, options)
  }

  async companion(person: Person, addressing?: 'lid' | 'pn', options?: LoginOptions): Promise<StrictClient> {
    return this.login(await this.link(person, addressing), options)
  }

  /** The problems of a kind, which are then expected. At least one, and each fits. */
  expectProblems(kind: ProblemKind, pattern: RegExp): void {
    const { log } = this.sandbox.service
    const problems = log.list()
    const expected = problems.filter((problem) => problem.kind === kind && pattern.test(problem.text))
    const lines = problems.map(({ kind: found, text }) => `${found}: ${text}`)
    assert.ok(expected.length > 0, `no ${kind} ${pattern}; the log says: ${lines.join('; ') || 'nothing'}`)
    const rest = problems.filter((problem) => !expected.includes(problem))
    log.clear()
    for (const { kind: left, from, text } of rest) log.add(left, from, text)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const problems = this.sandbox.service.log.list().map(({ kind, from, text }) => `${kind} ${from}: ${text}`)
    await this.sandbox[Symbol.asyncDispose]()
    assert.deepEqual(problems, [], 'the service complained of the client')
  }
}

/** The next message of a phone that it received from others. */
export async function nextAtPhone(person: Person, text: string) {
  const fits = (message: { readonly sentHere: boolean; readonly text: string | undefined }) =>
    !message.sentHere && message.text === text
  const [message] = await person.phone.messages.wait(0, fits, AbortSignal.timeout(5_000))
  assert.ok(message, `${person.account.pushName}'s phone never got ${text}`)
  return message
}
