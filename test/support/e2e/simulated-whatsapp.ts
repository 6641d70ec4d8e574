import assert from 'node:assert/strict'
import { type RunningSandbox, startSandboxProcess } from '../../../scripts/lib/sandbox.ts'
import { Phone } from './phone.ts'

export interface Problem {
  readonly seq: number
  readonly from: string
  readonly kind: string
  readonly text: string
  readonly stanza: string | null
}

export interface Metrics {
  readonly connections: number
  readonly connections_total: number
  readonly logins: number
  readonly registrations: number
  readonly linked: number
  readonly messages: number
  readonly number_queries: number
}

/** The sandbox as a process of its own, with what tests do to it. */
export class SimulatedWhatsApp implements AsyncDisposable {
  readonly process: RunningSandbox
  #people = 0

  private constructor(process: RunningSandbox) {
    this.process = process
  }

  static async start(args?: readonly string[]): Promise<SimulatedWhatsApp> {
    return new SimulatedWhatsApp(await startSandboxProcess(args))
  }

  /** A new person; numbers are valid German ones. */
  async person(
    name: string,
    options: { passkey?: 'required' | 'required_with_code'; phone?: string; accepts_links?: boolean } = {},
  ): Promise<Phone> {
    this.#people++
    const phone = `49151${String(10_000_000 + this.#people)}`
    return new Phone(this.process, await this.process.call('POST', '/sandbox/people', { name, phone, ...options }))
  }

  group(subject: string, creator: Phone, ...others: readonly Phone[]): Promise<string> {
    return this.#newGroup(subject, creator, others, false)
  }

  /** A group in which only admins change what it is like. */
  lockedGroup(subject: string, creator: Phone, ...others: readonly Phone[]): Promise<string> {
    return this.#newGroup(subject, creator, others, true)
  }

  async #newGroup(subject: string, creator: Phone, others: readonly Phone[], locked: boolean): Promise<string> {
    const { jid } = await this.process.call<{ jid: string }>('POST', '/sandbox/groups', {
      subject,
      creator: creator.number,
      participants: others.map(({ number }) => number),
      locked,
    })
    return jid
  }

  /** Arms a fault for its next occasions; the answer takes it back. */
  async fault(fault: Readonly<Record<string, unknown>> & { readonly kind: string }): Promise<() => Promise<void>> {
    const { id } = await this.process.call<{ id: number }>('POST', '/sandbox/faults', fault)
    return () => this.process.call('DELETE', `/sandbox/faults/${id}`)
  }

  clearFaults(): Promise<unknown> {
    return this.process.call('DELETE', '/sandbox/faults')
  }

  disconnect(deviceJid: string, how: Readonly<Record<string, unknown>> & { readonly mode: string }): Promise<unknown> {
    return this.process.call('POST', `/sandbox/devices/${encodeURIComponent(deviceJid)}/disconnect`, how)
  }

  metrics(): Promise<Metrics> {
    return this.process.call('GET', '/sandbox/metrics')
  }

  async problems(): Promise<readonly Problem[]> {
    return (await this.process.call<{ problems: Problem[] }>('GET', '/sandbox/problems')).problems
  }

  /** Whatever the service found fault with must have been meant. */
  async assertNoProblems(expected: (problem: Problem) => boolean = () => false): Promise<void> {
    const unexpected = (await this.problems()).filter((problem) => !expected(problem))
    assert.deepEqual(unexpected, [], 'the simulated WhatsApp found fault with something')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]()
  }
}
