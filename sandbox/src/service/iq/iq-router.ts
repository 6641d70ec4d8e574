import type { MediaDepot } from '../../media/media-depot.ts'
import { SERVICE_JID } from '../../wire/jid.ts'
import { type BinaryNode, child, node } from '../../wire/node.ts'
import type { Device } from '../account.ts'
import type { AccountRegistry } from '../account-registry.ts'
import type { AppStateStore } from '../app-state-store.ts'
import type { DeviceDirectory } from '../device-directory.ts'
import type { Faults } from '../faults.ts'
import type { GroupRegistry } from '../groups.ts'
import type { Mailroom } from '../mailroom.ts'
import type { Metrics } from '../metrics.ts'
import type { ProblemKind, ProblemLog } from '../problem-log.ts'
import { accountHandlers } from './account-iqs.ts'
import { appStateHandlers } from './app-state-iqs.ts'
import { encryptHandlers } from './encrypt-iqs.ts'
import { groupHandlers } from './group-iqs.ts'
import { sessionHandlers } from './session-iqs.ts'
import { usyncHandlers } from './usync-iqs.ts'

export interface IqContext {
  readonly accounts: AccountRegistry
  readonly groups: GroupRegistry
  readonly faults: Faults
  readonly log: ProblemLog
  readonly metrics: Metrics
  readonly mailroom: Mailroom
  readonly directory: DeviceDirectory
  readonly appState: AppStateStore
  readonly media: MediaDepot
  readonly clock: () => number
  readonly activate: (device: Device) => void
  readonly remove: (device: Device) => void
  readonly mediaHost: () => string
}

/** One request and the ways to answer it. */
export interface IqCall {
  readonly device: Device
  readonly stanza: BinaryNode
  /** The first child, which says what is asked. */
  readonly request: BinaryNode
  readonly context: IqContext
  result(content?: readonly BinaryNode[]): void
  /** Answers with an error and logs it. */
  error(code: number, text: string, kind?: ProblemKind): void
  /** Answers with an error that a correct client may well provoke (not found, forbidden): nothing is logged. */
  decline(code: number, text: string): void
}

export type IqHandler = (call: IqCall) => void

/** By `xmlns type child`, e.g. `encrypt get count`. */
export type IqHandlers = Readonly<Record<string, IqHandler>>

export class IqRouter {
  readonly #context: IqContext
  readonly #handlers: ReadonlyMap<string, IqHandler>

  constructor(context: IqContext) {
    this.#context = context
    this.#handlers = new Map(
      Object.entries({
        ...sessionHandlers,
        ...encryptHandlers,
        ...usyncHandlers,
        ...accountHandlers,
        ...appStateHandlers,
        ...groupHandlers,
      }),
    )
  }

  receive(device: Device, stanza: BinaryNode) {
    const { id, type, xmlns = '', to = SERVICE_JID } = stanza.attrs
    const { log, faults } = this.#context
    // Answers to the service's own pings ask for nothing.
    if (type === 'result' || type === 'error') return
    if (id === undefined) return log.add('malformed', device.jid, 'an IQ without an id', stanza)
    const fault = faults.take('fail_iq', device.account, (candidate) => candidate.xmlns === xmlns)
    if (fault?.code === 0) return
    const request = child(stanza)
    const answer = (kind: string, content?: readonly BinaryNode[]) =>
      device.peer?.deliver(node('iq', { type: kind, id, from: to }, content === undefined ? undefined : [...content]))
    const decline = (code: number, text: string) => answer('error', [node('error', { code, text })])
    const error = (code: number, text: string, kind: ProblemKind = 'malformed') => {
      log.add(kind, device.jid, text, stanza)
      decline(code, text)
    }
    if (fault !== undefined) return decline(fault.code, 'made to fail')
    // A ping may come without a child.
    const handler = this.#handlers.get(`${xmlns} ${type ?? 'get'} ${request?.tag ?? ''}`)
    if (handler === undefined) return error(501, 'feature-not-implemented', 'unknown_stanza')
    const result = (content?: readonly BinaryNode[]) => answer('result', content)
    handler({ device, stanza, request: request ?? stanza, context: this.#context, result, error, decline })
  }
}
