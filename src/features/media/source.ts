import { createWriteStream } from 'node:fs'
import { stat, writeFile } from 'node:fs/promises'
import type { UploadedFile, UploadRule } from '../../http/route.ts'
import { diskFailure, isParleyError, ParleyError } from '../../kernel/errors.ts'
import { formatSize } from '../../kernel/sizes.ts'
import type { Workspace } from '../../media/temp-files.ts'
import type { Fetcher } from '../../webhooks/fetcher.ts'

/** Where a request says that its file is. */
export interface FileSource {
  readonly file: UploadedFile | undefined
  readonly url?: string | undefined
  readonly base64?: string | undefined
}

/** A file on disk that is going to be sent. */
export interface ReceivedFile {
  readonly path: string
  readonly size: number
  readonly fileName: string | undefined
}

/** A server that is slow may still be an honest one with a large file. */
const FETCH_MS = 60_000
/** As browsers write it into data URLs. */
const DATA_URL = /^data:[^,]{0,256};base64,/

/** Brings the file of a request onto the disk. @throws bad_request, too_large */
export const receive = async (
  { file, url, base64 }: FileSource,
  fetcher: Pick<Fetcher, 'get'>,
  work: Workspace,
  { maxBytes, what }: UploadRule,
): Promise<ReceivedFile> => {
  if ([file, url, base64].filter((source) => source !== undefined).length > 1)
    throw new ParleyError('bad_request', 'file: give one of file, url and base64', { field: 'file' })
  if (file) return file
  if (url !== undefined) {
    const path = work.path('fetched')
    const found = await fetcher
      .get({ url, field: 'url', maxBytes, timeoutMs: FETCH_MS }, createWriteStream(path))
      .catch((error: unknown) => {
        throw isParleyError(error, 'too_large') ? tooLarge('url', what, maxBytes) : error
      })
    return { path, size: (await stat(path)).size, fileName: nameIn(found.url) }
  }
  if (base64 !== undefined) {
    const bytes = decodeBase64(base64.replace(DATA_URL, ''), 'base64')
    if (bytes.length > maxBytes) throw tooLarge('base64', what, maxBytes)
    const path = work.path('decoded')
    await writeFile(path, bytes).catch((error: unknown) => {
      throw diskFailure(error) ?? error
    })
    return { path, size: bytes.length, fileName: undefined }
  }
  throw new ParleyError('bad_request', 'file: is required (or url or base64 in JSON)', { field: 'file' })
}

/** Either alphabet, padded or not. @throws bad_request naming the field */
export const decodeBase64 = (given: string, field: string): Buffer => {
  const text = given.replace(/\s+/g, '')
  if (text === '' || !/^[A-Za-z0-9+/_-]+={0,2}$/.test(text) || text.replace(/=+$/, '').length % 4 === 1)
    throw new ParleyError('bad_request', `${field}: is not base64`, { field })
  return Buffer.from(text, 'base64')
}

const tooLarge = (field: string, what: string, limit: number): ParleyError =>
  new ParleyError('too_large', `${field}: ${what} may have at most ${formatSize(limit)} (${limit} bytes)`, {
    field,
    data: { limit_bytes: limit, limit: what },
  })

const nameIn = ({ pathname }: URL): string | undefined => {
  const last = pathname.split('/').at(-1)!
  try {
    return decodeURIComponent(last) || undefined
  } catch (error) {
    if (error instanceof URIError) return last
    throw error
  }
}
