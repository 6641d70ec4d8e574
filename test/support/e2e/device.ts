import assert from 'node:assert/strict'
import type { Answer, Call, Client } from './client.ts'
import type { Fits, WebhookEvent, WebhookInbox } from './inbox.ts'
import type { Phone } from './phone.ts'
import { until } from './until.ts'

export interface DeviceParts {
  readonly id: string
  readonly secret: string
  token: string
  /** Of the gateway as it runs now. */
  readonly anonymous: () => Client
  readonly inbox: WebhookInbox
}

/** A device as its owner drives it over HTTP. */
export class Device {
  readonly #parts: DeviceParts

  constructor(parts: DeviceParts) {
    this.#parts = parts
  }

  get id(): string {
    return this.#parts.id
  }

  get secret(): string {
    return this.#parts.secret
  }

  get token(): string {
    return this.#parts.token
  }

  set token(token: string) {
    this.#parts.token = token
  }

  get client(): Client {
    return this.#parts.anonymous().with({ authorization: `Bearer ${this.token}` })
  }

  ok(method: string, path: string, body?: unknown): Promise<Answer> {
    return this.client.ok(method, path, body)
  }

  refused(status: number, method: string, path: string, body?: unknown): Promise<Answer> {
    return this.client.refused(status, method, path, body)
  }

  call(method: string, path: string, call?: Call): Promise<Answer> {
    return this.client.call(method, path, call)
  }

  /** Subscribes the inbox to the device's events. */
  async listen(events: readonly string[] = []): Promise<{ readonly id: number; readonly secret: string }> {
    const { data } = await this.ok('POST', '/webhooks', { url: this.#parts.inbox.url, events })
    return { id: data.id, secret: data.secret }
  }

  event(type: string, fits?: Fits, timeoutMs?: number): Promise<WebhookEvent> {
    return this.#parts.inbox.next(this.id, type, fits, timeoutMs)
  }

  events(type?: string): readonly WebhookEvent[] {
    return this.#parts.inbox.of(this.id, type)
  }

  /** Starts (or joins) linking by QR; the text of the code. */
  async qr(): Promise<string> {
    const { data } = await this.ok('POST', '/devices/me/login', { output: 'json' })
    assert.ok(data?.code, 'no code: the device is linked already')
    return data.code as string
  }

  // biome-ignore lint/suspicious/noExplicitAny: the state has many optional fields
  async loginState(): Promise<any> {
    return (await this.ok('GET', '/devices/me/login/state')).data
  }

  /** Resolves when the linking stands there. @throws when it has failed instead */
  // biome-ignore lint/suspicious/noExplicitAny: the state has many optional fields
  untilLogin(state: string): Promise<any> {
    return until(`the linking is ${state}`, async () => {
      const now = await this.loginState()
      assert.ok(state === 'failed' || now.state !== 'failed', `the linking failed: ${now.reason}: ${now.message}`)
      return now.state === state && now
    })
  }

  /** Links by QR; the device's JID. */
  async link(phone: Phone): Promise<string> {
    const { device_jid } = await phone.scan(await this.qr())
    await this.untilConnected()
    return device_jid!
  }

  // biome-ignore lint/suspicious/noExplicitAny: as the reply is
  async status(): Promise<any> {
    return (await this.ok('GET', '/devices/me/status')).data
  }

  async untilConnected(timeoutMs?: number): Promise<void> {
    await until('the device is connected', async () => (await this.status()).connected as boolean, timeoutMs)
  }

  // biome-ignore lint/suspicious/noExplicitAny: as the reply is
  untilStatus(fits: (status: any) => boolean, timeoutMs?: number): Promise<any> {
    return until(
      `the status fits ${fits}`,
      async () => {
        const status = await this.status()
        return fits(status) && status
      },
      timeoutMs,
    )
  }

  /** Sends a text; its `data`. */
  // biome-ignore lint/suspicious/noExplicitAny: as the reply is
  async send(chat: Phone | string, text: string, more: Readonly<Record<string, unknown>> = {}): Promise<any> {
    const to = typeof chat === 'string' ? chat : chat.number
    return (await this.ok('POST', `/chats/${encodeURIComponent(to)}/messages`, { text, ...more })).data
  }
}
