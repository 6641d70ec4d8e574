import type { RunningSandbox } from '../../scripts/lib/sandbox.ts'
import type { Cast } from './cast.ts'
import type { Dice } from './dice.ts'
import type { Life } from './life.ts'
import { type Aim, WINDOWS, type Window } from './plan.ts'
import type { TrapPlan } from './preload/trap.ts'
import type { ChaosReceiver } from './receiver.ts'
import type { Wire, WireEntry } from './sandbox-feeds.ts'
import { sleep } from './sleep.ts'
import type { Weather } from './weather.ts'

/** An aim that has not come about so long after the start becomes a kill at a random moment. */
const AIM_LIMIT_MS = 15_000

export interface CampaignParts {
  readonly sandbox: RunningSandbox
  readonly cast: Cast
  readonly wire: Wire
  readonly receiver: ChaosReceiver
  readonly weather: Weather
  readonly dice: Dice
  readonly startLife: (trap: TrapPlan | undefined) => Life
  /** Called before each life with the number of kills so far. */
  readonly beforeLife: (kills: number) => Promise<void>
  readonly say: (line: string) => void
}

/** What the kills came to. */
export interface CampaignResult {
  readonly kills: number
  /** Verified from outside: see `plan.ts` for the meaning of each. */
  readonly windows: Readonly<Record<Window, number>>
}

/** One life of the gateway after the other, each ended by SIGKILL where the plan wants it. */
export class Campaign {
  readonly #parts: CampaignParts
  readonly #hits: Record<Window, number>
  /** Lives that ended while the receiver had a POST that was not marked; proven when one of its events comes again. */
  readonly #unmarked: number[] = []
  #lives = 0

  constructor(parts: CampaignParts) {
    this.#parts = parts
    this.#hits = Object.fromEntries(WINDOWS.map((window) => [window, 0])) as Record<Window, number>
  }

  /** @throws when the gateway does not start, or ends by itself */
  async run(aims: readonly Aim[], first: Life): Promise<CampaignResult> {
    const { say } = this.#parts
    const plan = [...aims]
    await first.kill()
    await this.#endLife()
    for (let aim = plan.shift(); aim !== undefined; aim = plan.shift()) {
      await this.#parts.beforeLife(this.#lives)
      const hit = await this.#live(aim)
      // missed: in the place of a later kill at a random moment, so that the number of kills stays
      if (aim !== 'random' && !hit) {
        const instead = plan.lastIndexOf('random')
        if (instead >= 0) plan[instead] = aim
      }
      if (this.#lives % 10 === 0) say(`${this.#lives} kills; ${this.#describeHits()}`)
    }
    return this.result
  }

  get result(): CampaignResult {
    const { receiver } = this.#parts
    const proven = this.#unmarked.filter((life) => {
      const later = receiver.posts.slice(life + 1)
      return [...receiver.posts[life]!].some((id) => later.some((posts) => posts.has(id)))
    })
    return { kills: this.#lives, windows: { ...this.#hits, post_to_marked: proven.length } }
  }

  /** Begins a life and ends it; true when it ended where it was meant to. */
  async #live(aim: Aim): Promise<boolean> {
    const { startLife, weather } = this.#parts
    const trap = this.#trapFor(aim)
    const life = startLife(trap)
    const over = new AbortController()
    void life.ended.then(() => over.abort())
    // a start takes what it takes: a busy machine is no fault of the gateway's
    let limit: NodeJS.Timeout | undefined
    let isUp = false
    const begin = () => {
      isUp = true
      if (!life.isOver) limit = setTimeout(() => void life.kill(), AIM_LIMIT_MS)
    }
    life.ready.then(begin, () => undefined)
    const blowing = weather.blow(over.signal, () => !isUp || aim === 'post_to_marked')
    try {
      if (aim === 'random') await this.#killAtRandom(life)
      else if (aim === 'send_to_ack') await this.#killUnacknowledged(life, over.signal)
      else if (aim === 'post_to_marked' && !trap) await this.#killUnanswered(life, over.signal)
      const how = await life.ended
      if (how !== 'SIGKILL') throw new Error(`the gateway ended by itself (${how}), saying\n${life.lastWords}`)
    } finally {
      clearTimeout(limit)
      await blowing
      await this.#parts.sandbox.call('DELETE', '/sandbox/faults')
    }
    this.#lives += 1
    await this.#endLife()
    return aim !== 'random' && this.#isHit(aim, life)
  }

  #trapFor(aim: Aim): TrapPlan | undefined {
    const { dice } = this.#parts
    switch (aim) {
      case 'id_commit_to_send':
        return { window: aim, skip: dice.between(0, 15), turns: dice.chance(0.8) ? 0 : 1 }
      case 'decrypt_to_commit':
      case 'commit_to_ack':
        return { window: aim, skip: dice.between(0, 40), turns: 0 }
      case 'post_to_marked':
        return dice.chance(0.5) ? { window: aim, skip: dice.between(0, 20), turns: 0 } : undefined
      default:
        return undefined
    }
  }

  async #killAtRandom(life: Life): Promise<void> {
    const { dice } = this.#parts
    if (dice.chance(0.3)) await sleep(dice.between(0, 1_500))
    else {
      await life.ready
      await sleep(dice.between(0, 3_000))
    }
    await life.kill()
  }

  /** The service keeps the acks of a device's next texts to itself, or loses the texts as well. */
  async #killUnacknowledged(life: Life, over: AbortSignal): Promise<void> {
    const { sandbox, cast, wire, dice } = this.#parts
    await life.ready
    await sleep(dice.between(200, 1_500), over)
    if (over.aborted) return
    const { jid } = dice.pick(cast.devices)
    const times = dice.between(1, 3)
    await sandbox.call('POST', '/sandbox/faults', {
      kind: dice.chance(0.5) ? 'swallow_ack' : 'drop_message',
      device: jid,
      times,
    })
    let left = times
    const reached = Promise.withResolvers<void>()
    const stop = wire.listen((batch) => {
      left -= unacknowledged(batch, jid).length
      if (left <= 0) reached.resolve()
    })
    over.addEventListener('abort', () => reached.resolve(), { once: true })
    await reached.promise
    stop()
    await sleep(dice.pick([0, 0, 20, 200]), over)
    await life.kill()
  }

  async #killUnanswered(life: Life, over: AbortSignal): Promise<void> {
    const { receiver, dice } = this.#parts
    await life.ready
    await sleep(dice.between(0, 1_500), over)
    if (over.aborted) return
    const held = Promise.withResolvers<void>()
    receiver.holdNext(held.resolve)
    over.addEventListener('abort', () => held.resolve(), { once: true })
    await held.promise
    receiver.forgetHold()
    await life.kill()
  }

  async #endLife(): Promise<void> {
    const { wire, receiver } = this.#parts
    await wire.endLife()
    receiver.nextLife()
  }

  /** Whether what was seen from outside says that this life ended in the window. */
  #isHit(aim: Window, life: Life): boolean {
    const entries = this.#parts.wire.lastLife()
    const { sprung } = life
    const hit = (): boolean => {
      switch (aim) {
        case 'id_commit_to_send':
          return (
            sprung !== undefined && !entries.some(({ direction, id }) => direction === 'in' && id === sprung.messageId)
          )
        case 'send_to_ack':
          return this.#parts.cast.devices.some(({ jid }) => unacknowledged(entries, jid).length > 0)
        case 'decrypt_to_commit':
          return sprung !== undefined
        case 'commit_to_ack':
          return sprung !== undefined && !this.#confirmed(entries, sprung.device, sprung.messageId)
        case 'post_to_marked':
          // the life before the one that has just begun
          this.#unmarked.push(this.#parts.receiver.posts.length - 2)
          return true
      }
    }
    if (!hit()) return false
    this.#hits[aim] += 1
    return true
  }

  #confirmed(entries: readonly WireEntry[], deviceId: string, messageId: string): boolean {
    const jid = this.#parts.cast.devices.find(({ api }) => api.deviceId === deviceId)?.jid
    return entries.some((entry) => entry.device === jid && entry.id === messageId && isConfirmation(entry))
  }

  #describeHits(): string {
    return WINDOWS.map((window) => `${window} ${this.#hits[window]}`).join(', ')
  }
}

/** Messages of the device that the service saw and did not acknowledge. */
const unacknowledged = (entries: readonly WireEntry[], jid: string): WireEntry[] => {
  const own = entries.filter(({ device }) => device === jid)
  return own.filter(
    ({ direction, tag, id, connection }) =>
      direction === 'in' &&
      tag === 'message' &&
      !own.some(
        (other) =>
          other.direction === 'out' && other.tag === 'ack' && other.id === id && other.connection === connection,
      ),
  )
}

/** A receipt or an ack that takes a message off the service's queue; a retry receipt does so, too. */
export const isConfirmation = ({ direction, tag }: WireEntry): boolean => direction === 'in' && tag !== 'message'
