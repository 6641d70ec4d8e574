import type { Account, EngineSignal } from '../engine/index.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import type { DeviceChange } from '../storage/index.ts'

/** What is told about a connection with each signal. */
export interface SignalFacts {
  readonly account: Account | undefined
  /** True when this connection had been open before the signal. */
  readonly wasOpen: boolean
  /** 0 = the first connection, 1.. = the attempt to come back. */
  readonly attempt: number
  readonly now: number
}

export interface RecorderDeps {
  readonly deviceId: string
  readonly logger: Logger
  /** Writes the event of a signal. */
  readonly announce: (deviceId: string, signal: EngineSignal, facts: SignalFacts) => Promise<void>
  readonly saveDevice: (deviceId: string, change: DeviceChange) => Promise<void>
}

/** Writes down what happens to a device's connection, events and row, strictly in the order it happened. */
export class StateRecorder {
  readonly #deps: RecorderDeps
  #tail: Promise<void> = Promise.resolve()

  constructor(deps: RecorderDeps) {
    this.#deps = deps
  }

  tell(signal: EngineSignal, facts: SignalFacts): void {
    this.#add(signal.type, () => this.#deps.announce(this.#deps.deviceId, signal, facts))
  }

  save(change: DeviceChange): void {
    this.#add('device', () => this.#deps.saveDevice(this.#deps.deviceId, change))
  }

  /** Resolves when everything so far is written, or was tried to be. */
  settled(): Promise<void> {
    return this.#tail
  }

  #add(what: string, write: () => Promise<void>): void {
    const { deviceId, logger } = this.#deps
    this.#tail = this.#tail.then(write).catch((error: unknown) => {
      logger.error({ device_id: deviceId, what, reason: messageOf(error) }, 'a change of state was not recorded')
    })
  }
}
