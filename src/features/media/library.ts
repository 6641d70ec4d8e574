import { createWriteStream } from 'node:fs'
import type { Engine, MediaFacts, MediaKind, MediaRetry, MessageOccurrence, Occurrence } from '../../engine/index.ts'
import { isMediaType, mediaDownloaded } from '../../events/catalogue/media.ts'
import { draft } from '../../events/draft.ts'
import type { Events } from '../../events/events.ts'
import { fieldsOfMessage } from '../../events/identity.ts'
import { type OwnAccount, ownDigits } from '../../events/own-account.ts'
import type { Clock } from '../../kernel/clock.ts'
import { isParleyError, messageOf, ParleyError } from '../../kernel/errors.ts'
import type { Logger } from '../../kernel/logger.ts'
import { Semaphore } from '../../kernel/semaphore.ts'
import { sniff } from '../../media/sniff.ts'
import type { MediaStore, StoredFile } from '../../media/store.ts'
import type { TempFiles } from '../../media/temp-files.ts'
import type { Sessions } from '../../sessions/index.ts'
import type { IdentityRepository, MessageRepository, MessageRow } from '../../storage/index.ts'

export interface MediaLibraryDeps {
  readonly messages: Pick<MessageRepository, 'find' | 'setContent'>
  readonly identities: IdentityRepository
  readonly sessions: Pick<Sessions, 'connection'>
  readonly engine: Pick<Engine, 'describeMedia' | 'relocateMedia'>
  readonly store: MediaStore
  readonly temp: TempFiles
  readonly events: Pick<Events, 'append'>
  accountOf(deviceId: string): OwnAccount | undefined
  readonly clock: Clock
  readonly logger: Logger
}

/** The file of a message, on disk. */
export interface LibraryFile {
  readonly file: StoredFile
  readonly facts: MediaFacts
  /** By its content where that says something, else as the sender called it. */
  readonly mimetype: string
}

/** WhatsApp's own limit for documents, the largest there are. */
const MOST_BYTES = 2 * 1024 ** 3
/** What comes by itself is fetched up to here; beyond, when somebody asks for it. */
const MOST_BYTES_UNASKED = 100 * 1024 ** 2
/** Downloads at once of what nobody asked for. */
const UNASKED_AT_ONCE = 2

/** The files of messages: downloaded when they are first wanted, once however many want them, and kept while there is room. */
export class MediaLibrary {
  readonly #deps: MediaLibraryDeps
  readonly #running = new Map<string, Promise<StoredFile>>()
  readonly #unasked = new Semaphore(UNASKED_AT_ONCE)

  constructor(deps: MediaLibraryDeps) {
    this.#deps = deps
  }

  /** @throws not_found (no file in it), gone, not_linked, not_connected, too_large, whatsapp_refused, whatsapp_timeout */
  async open(deviceId: string, row: MessageRow): Promise<LibraryFile> {
    if (row.revokedAt !== undefined) throw deletedForAll()
    const facts = row.content && (await this.#deps.engine.describeMedia(row.content))
    if (!facts) throw new ParleyError('not_found', `message ${row.messageId} has no file`)
    const file = (await this.#deps.store.get(facts.identity)) ?? (await this.#fetchOnce(deviceId, row, facts))
    return { file, facts, mimetype: await typeOf(file, facts) }
  }

  /** Fetches the file of a message that has just come in, behind everybody's back. */
  onArrival(deviceId: string, occurrence: Occurrence): void {
    if (occurrence.kind !== 'message' || !isMediaType(occurrence.type)) return
    this.#fetchUnasked(deviceId, occurrence).catch((error: unknown) => {
      this.#deps.logger.info(
        { device_id: deviceId, message_id: occurrence.messageId, reason: messageOf(error) },
        'an incoming file was not downloaded',
      )
    })
  }

  /**
   * Called when something is about to be stored; what it answers, when it is stored. The file of a message that is deleted,
   * for everybody or with its file for this account, is kept no longer: other messages that lead to the same one get it from
   * WhatsApp again. Which file that was is read side by side with the storing, which waits for nobody; were it read too
   * late, the file is in nobody's reach and goes when there is need of room.
   */
  duringIntake(deviceId: string, occurrence: Occurrence): () => void {
    const messageId = deletedBy(occurrence)
    if (messageId === undefined) return () => undefined
    const about = this.#identityOf(deviceId, messageId, occurrence.chat)
    const failed = (error: unknown) =>
      this.#deps.logger.info(
        { device_id: deviceId, reason: messageOf(error) },
        'the file of a deleted message was kept',
      )
    about.catch(failed)
    return () => {
      about.then((identity) => (identity === undefined ? undefined : this.#deps.store.remove(identity))).catch(failed)
    }
  }

  /** Asks the phone to upload a file once more; where its message is stored, it leads to the new place as soon as there is one. */
  async retry(deviceId: string, request: MediaRetry, row: MessageRow | undefined): Promise<void> {
    const { media } = await this.#deps.sessions.connection(deviceId)
    const { directPath } = await media.retry(request)
    directPath
      .then((path) => row && this.#relocate(deviceId, row, path))
      .catch((error: unknown) => {
        this.#deps.logger.info({ device_id: deviceId, reason: messageOf(error) }, 'a file was not uploaded once more')
      })
  }

  async #fetchUnasked(deviceId: string, { messageId, chat }: MessageOccurrence): Promise<void> {
    const release = await this.#unasked.acquire()
    try {
      const row = await this.#deps.messages.find(deviceId, messageId, chat)
      const facts = row?.content && (await this.#deps.engine.describeMedia(row.content))
      if (!row || !facts || facts.fileLength > MOST_BYTES_UNASKED || row.revokedAt !== undefined) return
      if (await this.#deps.store.get(facts.identity)) return
      // the length is the sender's word: what turns out longer is broken off
      await this.#fetchOnce(deviceId, row, facts, MOST_BYTES_UNASKED)
    } finally {
      release()
    }
  }

  async #identityOf(deviceId: string, messageId: string, chat: string): Promise<string | undefined> {
    const row = await this.#deps.messages.find(deviceId, messageId, chat)
    return row?.content && (await this.#deps.engine.describeMedia(row.content))?.identity
  }

  #fetchOnce(deviceId: string, row: MessageRow, facts: MediaFacts, maxBytes = MOST_BYTES): Promise<StoredFile> {
    const running = this.#running.get(facts.identity)
    if (running && maxBytes < MOST_BYTES) return running
    // one that nobody asked for may have ended at its own limit
    if (running) return running.catch((error: unknown) => this.#unlessTooLarge(error, deviceId, row, facts))
    const fetching = this.#fetch(deviceId, row, facts, maxBytes).finally(() => this.#running.delete(facts.identity))
    this.#running.set(facts.identity, fetching)
    return fetching
  }

  #unlessTooLarge(error: unknown, deviceId: string, row: MessageRow, facts: MediaFacts): Promise<StoredFile> {
    if (!isParleyError(error, 'too_large') || error.data?.limit_bytes === MOST_BYTES) throw error
    return this.#fetchOnce(deviceId, row, facts)
  }

  async #fetch(deviceId: string, row: MessageRow, facts: MediaFacts, maxBytes: number): Promise<StoredFile> {
    const { temp, store, sessions, events, clock } = this.#deps
    const { media } = await sessions.connection(deviceId)
    await using work = await temp.workspace()
    const download = async (content: Uint8Array): Promise<string> => {
      const path = work.path('download')
      await media.download(content, createWriteStream(path), { maxBytes })
      return path
    }
    let path: string
    try {
      path = await download(row.content!)
    } catch (error) {
      if (!isParleyError(error, 'gone')) throw error
      const { directPath } = await media.retry({ reference: row, mediaKey: facts.mediaKey })
      path = await download(await this.#relocate(deviceId, row, await directPath))
    }
    // it may have been deleted meanwhile
    const now = await this.#deps.messages.find(deviceId, row.messageId, row.chat)
    if (now?.revokedAt !== undefined) throw deletedForAll()
    const file = await store.put(facts.identity, path)
    const payload = {
      jid: ownDigits(this.#deps.accountOf(deviceId)),
      message_id: row.messageId,
      ...(await fieldsOfMessage(row, this.#deps.identities)),
      media_type: facts.kind satisfies MediaKind,
      mime_type: await typeOf(file, facts),
      size: file.size,
      sha256: facts.sha256,
    }
    await events.append(deviceId, [
      draft(mediaDownloaded, payload, { occurredAt: clock.now(), orderKey: row.conversationId }),
    ])
    return file
  }

  async #relocate(deviceId: string, row: MessageRow, directPath: string): Promise<Uint8Array> {
    const content = await this.#deps.engine.relocateMedia(row.content!, directPath)
    await this.#deps.messages.setContent(deviceId, row.chat, row.messageId, content)
    return content
  }
}

/** The id of the message that goes with its file. */
const deletedBy = (occurrence: Occurrence): string | undefined => {
  if (occurrence.kind === 'message')
    return occurrence.action?.kind === 'revoke' ? occurrence.action.target.messageId : undefined
  if (occurrence.kind !== 'chat_change' || occurrence.change.kind !== 'delete_for_me') return undefined
  return occurrence.change.deleteMedia ? occurrence.change.message.messageId : undefined
}

const deletedForAll = (): ParleyError => new ParleyError('gone', 'the message was deleted for everybody')

const typeOf = async ({ path }: StoredFile, { mimetype }: MediaFacts): Promise<string> => {
  const found = await sniff(path)
  if (found.mimetype !== 'application/octet-stream') return found.mimetype
  return /^[\w.+-]+\/[\w.+-]+(; ?[\w-]+=[\w.+-]+)*$/.test(mimetype) ? mimetype : 'application/octet-stream'
}
