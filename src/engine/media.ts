import type { Writable } from 'node:stream'
import type { MediaKind, MessageReference, UploadedMedia } from './outgoing.ts'

/** What a stored message says about its file. */
export interface MediaFacts {
  readonly kind: MediaKind
  /** As the sender named it; not to be believed. */
  readonly mimetype: string
  readonly fileName: string | undefined
  /** Bytes, as the sender says. */
  readonly fileLength: number
  /** Of the decrypted file, hex. */
  readonly sha256: string
  readonly mediaKey: Uint8Array
  /**
   * The same for the same encrypted file and key, whoever has it, and known to nobody who lacks the key: 64 hex digits.
   * What is kept under it may be shown to everyone whose message has it.
   */
  readonly identity: string
}

/** Asks our own phone to upload the file of a message once more. */
export interface MediaRetry {
  readonly reference: MessageReference
  readonly mediaKey: Uint8Array
}

/** Files on WhatsApp's media servers, of one connection. Nothing here holds a whole file in memory. */
export interface MediaPort {
  /**
   * Encrypts a file while it is uploaded; it is read twice and never copied.
   * @throws not_connected, whatsapp_refused, whatsapp_timeout, the signal's reason
   */
  upload(kind: MediaKind, path: string, signal?: AbortSignal): Promise<UploadedMedia>
  /**
   * Downloads the file of a message (its encoded `Message`), decrypts it into `sink` and ends that. The checks of hash and
   * MAC come last: what is in the sink counts only when this resolves.
   * @throws gone (the servers have it no more: `retry` may help), not_found (no file in it), too_large, whatsapp_refused,
   * whatsapp_timeout, the signal's reason
   */
  download(content: Uint8Array, sink: Writable, options: DownloadOptions): Promise<void>
  /**
   * Sends the request. `directPath` settles when the phone has answered: a signal `media_retry` says so too.
   * @throws not_connected; `directPath` rejects with gone (the phone has it no more) or whatsapp_timeout
   */
  retry(request: MediaRetry): Promise<{ readonly directPath: Promise<string> }>
}

export interface DownloadOptions {
  readonly maxBytes: number
  readonly signal?: AbortSignal
}
