import { jidDecode, jidNormalizedUser } from 'baileys'
import { LRUCache } from 'lru-cache'
import type { SignalKeyRepository } from '../../storage/index.ts'

/** PN <-> LID pairs of all sessions in one bounded map; what falls out is read from the key store again. */
export const createSharedLidCache = (max = 200_000): LRUCache<string, string> => new LRUCache({ max })

const TYPE = 'lid-mapping'

const isPn = (jid: string) => jid.endsWith('@s.whatsapp.net') || jid.endsWith('@hosted')
const isLid = (jid: string) => jid.endsWith('@lid') || jid.endsWith('@hosted.lid')

/**
 * Who is who: phone numbers and linked ids of one device's contacts, in the form Baileys calls it
 * (its own store keeps an unbounded LRU with a timer per entry and 0.9 KB per contact and session).
 */
export class LidMap {
  readonly #deviceId: string
  readonly #repository: SignalKeyRepository
  readonly #cache: LRUCache<string, string>
  readonly #ask: (pns: string[]) => Promise<{ pn: string; lid: string }[] | undefined>
  readonly #asking = new Map<string, Promise<void>>()

  constructor(deps: {
    deviceId: string
    repository: SignalKeyRepository
    cache: LRUCache<string, string>
    /** Asks the service (USync) for the LIDs of bare PNs. */
    ask: (pns: string[]) => Promise<{ pn: string; lid: string }[] | undefined>
  }) {
    this.#deviceId = deps.deviceId
    this.#repository = deps.repository
    this.#cache = deps.cache
    this.#ask = deps.ask
  }

  async storeLIDPNMappings(pairs: { lid: string; pn: string }[]): Promise<void> {
    const writes: { type: string; id: string; value: Uint8Array }[] = []
    for (const pair of pairs) {
      const [lid, pn] = isLid(pair.lid) ? [pair.lid, pair.pn] : [pair.pn, pair.lid]
      if (!isLid(lid) || !isPn(pn)) continue
      const lidUser = jidDecode(lid)?.user
      const pnUser = jidDecode(pn)?.user
      if (!lidUser || !pnUser || (await this.#userFor(pnUser)) === lidUser) continue
      writes.push({ type: TYPE, id: pnUser, value: Buffer.from(lidUser) })
      writes.push({ type: TYPE, id: `${lidUser}_reverse`, value: Buffer.from(pnUser) })
    }
    if (writes.length === 0) return
    await this.#repository.commit(this.#deviceId, { writes })
    for (const { id, value } of writes) this.#remember(id, value.toString())
  }

  /** Asks the service when the pair is not known yet. */
  async getLIDForPN(pn: string): Promise<string | null> {
    return (await this.getLIDsForPNs([pn]))?.[0]?.lid ?? null
  }

  async getLIDsForPNs(pns: string[]): Promise<{ lid: string; pn: string }[] | null> {
    const wanted = pns.filter(isPn)
    const unknown: string[] = []
    for (const pn of wanted) if (!(await this.#userFor(jidDecode(pn)!.user))) unknown.push(jidNormalizedUser(pn))
    if (unknown.length > 0) await this.#askOnce([...new Set(unknown)].sort())
    const found: { lid: string; pn: string }[] = []
    for (const pn of wanted) {
      const lid = await this.storedLid(pn)
      if (lid) found.push({ lid, pn })
    }
    return found.length > 0 ? found : null
  }

  async getPNForLID(lid: string): Promise<string | null> {
    return (await this.getPNsForLIDs([lid]))?.[0]?.pn ?? null
  }

  async getPNsForLIDs(lids: string[]): Promise<{ lid: string; pn: string }[] | null> {
    const found: { lid: string; pn: string }[] = []
    for (const lid of lids.filter(isLid)) {
      const decoded = jidDecode(lid)
      const user = decoded && (await this.#userFor(`${decoded.user}_reverse`))
      if (user) found.push({ lid, pn: `${user}:${decoded.device ?? 0}@s.whatsapp.net` })
    }
    return found.length > 0 ? found : null
  }

  /** The LID of a PN with the same device, from what is stored: asks nobody. */
  async storedLid(pn: string): Promise<string | undefined> {
    const decoded = jidDecode(pn)
    const user = decoded && (await this.#userFor(decoded.user))
    return user && withDevice(user, decoded.device, 'lid')
  }

  /** The same from memory only. */
  cachedLid(pn: string): string | undefined {
    const decoded = jidDecode(pn)
    const user = decoded && this.#cache.get(this.#key(decoded.user))
    return user && withDevice(user, decoded.device, 'lid')
  }

  /** Bare PN of a bare or device LID, from what is stored. */
  async storedPn(lid: string): Promise<string | undefined> {
    const decoded = jidDecode(lid)
    const user = decoded && (await this.#userFor(`${decoded.user}_reverse`))
    return user && `${user}@s.whatsapp.net`
  }

  close(): void {
    this.#asking.clear()
  }

  async #userFor(id: string): Promise<string | undefined> {
    const cached = this.#cache.get(this.#key(id))
    if (cached) return cached
    const stored = (await this.#repository.get(this.#deviceId, TYPE, [id])).get(id)
    const user = stored && Buffer.from(stored).toString()
    if (user) this.#remember(id, user)
    return user
  }

  async #askOnce(pns: string[]): Promise<void> {
    const key = pns.join(',')
    const asking =
      this.#asking.get(key) ??
      this.#ask(pns)
        .then((pairs) => this.storeLIDPNMappings(pairs ?? []))
        .finally(() => this.#asking.delete(key))
    this.#asking.set(key, asking)
    await asking
  }

  #remember(id: string, user: string): void {
    this.#cache.set(this.#key(id), user)
  }

  #key(id: string): string {
    return `${this.#deviceId}|${id}`
  }
}

const withDevice = (user: string, device: number | undefined, server: string) =>
  device ? `${user}:${device}@${server}` : `${user}@${server}`
