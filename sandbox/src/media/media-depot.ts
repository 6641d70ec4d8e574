// The media servers' disk: encrypted files by path, and who may upload.
import { randomBytes } from 'node:crypto'
import { sha256 } from '../crypto/symmetric.ts'
import { type BlobKind, sealMedia } from './media-encryption.ts'

export type UploadType = (typeof UPLOAD_TYPES)[number]

/** The last part of `/mms/<type>`; history goes where app state goes. */
export const UPLOAD_TYPES = ['image', 'video', 'document', 'audio', 'md-app-state'] as const

/** Part of a path by type, as WhatsApp's look. */
const FOLDERS: Readonly<Record<UploadType, string>> = {
  image: 't62.7118-24',
  video: 't62.7161-24',
  audio: 't62.7117-24',
  document: 't62.7119-24',
  'md-app-state': 't62.36144-24',
}

export interface StoredMedia {
  readonly type: UploadType
  readonly body: Buffer
  readonly encSha256: Buffer
  downloads: number
  /** How downloads go wrong from now on. */
  damage: Damage | undefined
  /** Let go on what is stuck half way. */
  readonly stuck: (() => void)[]
  /** What a download is answered with from now on, instead of the file. */
  gone: 404 | 410 | undefined
}

/** One bit flipped in the middle, in the MAC at the end; cut short as if that were all; broken off; or stuck half way until that ends. */
export type Damage = (typeof DAMAGES)[number]

export const DAMAGES = ['flip', 'mac', 'truncate', 'break', 'stall'] as const

/** A file of a phone's own, as what it tells its companions leads to it. */
export interface PlacedBlob {
  readonly mediaKey: Buffer
  readonly directPath: string
  readonly fileSha256: Buffer
  readonly fileEncSha256: Buffer
  readonly fileLength: number
}

const AUTH_LIFETIME_MS = 24 * 3_600_000

/** Keeps what was uploaded until the process ends. */
export class MediaDepot {
  readonly #clock: () => number
  readonly #files = new Map<string, StoredMedia>()
  readonly #grants = new Map<string, number>()
  /** Phones put history and app state here, as they do when there is much of it, instead of into their messages. */
  takesBlobs = false

  constructor(clock: () => number) {
    this.#clock = clock
  }

  /** Lets whoever shows it upload for a day. */
  grant(): { readonly auth: string; readonly ttlSeconds: number } {
    const auth = randomBytes(32).toString('base64url')
    this.#grants.set(auth, this.#clock() + AUTH_LIFETIME_MS)
    return { auth, ttlSeconds: AUTH_LIFETIME_MS / 1000 }
  }

  isGranted(auth: string): boolean {
    return (this.#grants.get(auth) ?? 0) > this.#clock()
  }

  /** Ends all grants: clients must ask for a new one. */
  revokeGrants(): void {
    this.#grants.clear()
  }

  /** Keeps a file under a new path; answers it, query included. */
  add(type: UploadType, body: Buffer): string {
    const encSha256 = sha256(body)
    const path = `/v/${FOLDERS[type]}/${encSha256.toString('base64url')}_n.enc`
    const query = `ccb=11-4&oh=01_${randomBytes(12).toString('base64url')}&oe=${this.#expiry()}&_nc_sid=5e03e0`
    const directPath = `${path}?${query}`
    this.#files.set(directPath, { type, body, encSha256, downloads: 0, damage: undefined, stuck: [], gone: undefined })
    return directPath
  }

  /** Keeps what a phone has for its companions; undefined when that is to travel in its messages. */
  place(kind: BlobKind, bytes: Uint8Array): PlacedBlob | undefined {
    if (!this.takesBlobs) return undefined
    const { mediaKey, body, fileSha256, fileEncSha256 } = sealMedia(kind, bytes)
    return { mediaKey, directPath: this.add('md-app-state', body), fileSha256, fileEncSha256, fileLength: bytes.length }
  }

  /** By the path that `add` answered; further query parameters of a client do no harm. */
  find(directPath: string): StoredMedia | undefined {
    const known = this.#files.get(directPath)
    if (known !== undefined) return known
    for (const [path, file] of this.#files) if (directPath.startsWith(`${path}&`)) return file
    return undefined
  }

  /** Lets one file, or all that there are, be gone. @returns how many */
  expire(status: 404 | 410, directPath?: string): number {
    return this.#each(directPath, (file) => {
      file.gone = status
    })
  }

  /** Damages one file, or all that there are; undefined mends them. @returns how many */
  damage(damage: Damage | undefined, directPath?: string): number {
    return this.#each(directPath, (file) => {
      file.damage = damage
      for (const goOn of file.stuck.splice(0)) goOn()
    })
  }

  #each(directPath: string | undefined, change: (file: StoredMedia) => void): number {
    const named = directPath === undefined ? undefined : this.find(directPath)
    const files = directPath === undefined ? [...this.#files.values()] : named ? [named] : []
    for (const file of files) change(file)
    return files.length
  }

  list(): readonly (readonly [path: string, file: StoredMedia])[] {
    return [...this.#files]
  }

  #expiry(): string {
    return Math.floor((this.#clock() + 30 * 24 * 3_600_000) / 1000).toString(16)
  }
}
