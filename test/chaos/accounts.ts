import type { Cast } from './cast.ts'
import type { LiveConsumer } from './live-consumer.ts'
import { addDifferences, compareReader, compareWebhook, type Differences, type LoggedEvent } from './log-verdict.ts'
import type { ChaosReceiver } from './receiver.ts'

/** The most that one page of `GET /events` may hold. */
const PAGE = 200

/** What integrators got over every transport, against the devices' logs. */
export class Accounts {
  readonly #cast: Cast
  readonly #receiver: ChaosReceiver
  readonly #consumers: readonly LiveConsumer[]
  /** By device name. */
  readonly #logs = new Map<string, LoggedEvent[]>()

  constructor(parts: {
    readonly cast: Cast
    readonly receiver: ChaosReceiver
    readonly consumers: readonly LiveConsumer[]
  }) {
    this.#cast = parts.cast
    this.#receiver = parts.receiver
    this.#consumers = parts.consumers
  }

  /** Reads on in the logs, page by page, to their ends. @throws when the gateway does not answer */
  async read(): Promise<void> {
    for (const { name, api } of this.#cast.devices) {
      const log = this.#logs.get(name) ?? []
      this.#logs.set(name, log)
      for (let more = true; more; ) {
        const { data } = await api.call<{ events: LoggedEvent[]; more: boolean }>(
          'GET',
          `/events?limit=${PAGE}&after=${log.at(-1)?.sequence ?? 0}`,
        )
        log.push(...data.events)
        more = data.more
      }
    }
  }

  /** Of what was read of the logs. */
  differences(): Differences {
    const refusals = this.#consumers.flatMap(({ refusal }) => (refusal === undefined ? [] : [refusal]))
    return addDifferences([
      { lost: refusals, duplicated: [], outOfOrder: [] },
      ...this.#cast.devices.map(({ name, events }) =>
        compareWebhook(`the webhook of ${name}`, this.#receiver.kept.get(name) ?? [], this.#logOf(name), events),
      ),
      ...this.#consumers.map(({ name, device, got }) => compareReader(name, got, this.#logOf(device.name))),
    ])
  }

  #logOf(device: string): readonly LoggedEvent[] {
    return this.#logs.get(device) ?? []
  }
}
