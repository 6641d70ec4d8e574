import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Transform, type TransformCallback } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { MultipartFile } from '@fastify/multipart'
import { diskFailure, ParleyError } from '../kernel/errors.ts'
import { formatSize } from '../kernel/sizes.ts'
import type { UploadedFile, UploadRule } from './route.ts'

/** What a form holds beside the file, at most: its fields, the lines around them. */
const FORM_BYTES = 4 * 1024 * 1024

/** A file that came with a form lies in a folder of its own, which goes with the request. */
export interface SpooledFile extends AsyncDisposable {
  readonly file: UploadedFile
}

/** Refuses what its `Content-Length` says to be too large, before anything of it is read. @throws too_large */
export const checkLength = (header: string | undefined, bodyLimit: number, rule: UploadRule | undefined): void => {
  const length = Number(header ?? 0)
  if (length > bodyLimit) throw bodyTooLarge(bodyLimit)
  if (rule && length > rule.maxBytes + FORM_BYTES) throw fileTooLarge(rule)
}

/** JSON lies in memory as a whole, and a file in it a third longer than it is: large ones come by multipart or URL. */
const JSON_FILE_BYTES = 20 * 1024 * 1024
const JSON_BYTES = Math.ceil((JSON_FILE_BYTES * 4) / 3) + 128 * 1024

/** Most bytes of a body that is no form, for a route that takes files. */
export const jsonLimitOf = (bodyLimit: number): number => Math.min(bodyLimit, JSON_BYTES)

/** Writes a file of a form to disk while it comes in. @throws too_large, bad_request */
export const spool = async (
  part: MultipartFile,
  folder: string,
  bodyLimit: number,
  rule: UploadRule,
): Promise<SpooledFile> => {
  const home = await makeHome(folder)
  const dispose = () => rm(home, { recursive: true, force: true })
  const path = join(home, 'file')
  const limit = rule.maxBytes <= bodyLimit ? fileTooLarge(rule) : bodyTooLarge(bodyLimit)
  const meter = new Meter(Math.min(rule.maxBytes, bodyLimit), limit)
  try {
    await pipeline(part.file, meter, createWriteStream(path))
    const { filename } = part
    return {
      file: { path, size: meter.bytes, sha256: meter.sha256(), fileName: filename === '' ? undefined : filename },
      [Symbol.asyncDispose]: dispose,
    }
  } catch (error) {
    await dispose()
    throw diskFailure(error) ?? error
  }
}

const makeHome = async (folder: string): Promise<string> => {
  try {
    await mkdir(folder, { recursive: true })
    return await mkdtemp(join(folder, 'upload-'))
  } catch (error) {
    throw diskFailure(error) ?? error
  }
}

/** Counts and hashes what flows through. */
class Meter extends Transform {
  readonly #hash = createHash('sha256')
  readonly #most: number
  readonly #refusal: ParleyError
  bytes = 0

  constructor(most: number, refusal: ParleyError) {
    super()
    this.#most = most
    this.#refusal = refusal
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback) {
    this.bytes += chunk.length
    if (this.bytes > this.#most) return callback(this.#refusal)
    this.#hash.update(chunk)
    callback(null, chunk)
  }

  sha256(): string {
    return this.#hash.digest('hex')
  }
}

const bodyTooLarge = (limit: number): ParleyError =>
  new ParleyError('too_large', `the body is larger than ${formatSize(limit)} (${limit} bytes, HTTP_BODY_LIMIT_SIZE)`, {
    data: { limit_bytes: limit, limit: 'HTTP_BODY_LIMIT_SIZE' },
  })

const fileTooLarge = ({ what, maxBytes }: UploadRule): ParleyError =>
  new ParleyError('too_large', `file: ${what} may have at most ${formatSize(maxBytes)} (${maxBytes} bytes)`, {
    field: 'file',
    data: { limit_bytes: maxBytes, limit: what },
  })
