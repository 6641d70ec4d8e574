import { open } from 'node:fs/promises'

/** What a file is by its content, whatever its sender calls it. */
export interface Sniffed {
  readonly mimetype: string
  /** Without the dot. */
  readonly extension: string
}

const UNKNOWN: Sniffed = { mimetype: 'application/octet-stream', extension: 'bin' }
/** Enough to tell text from anything else. */
const PROBE_BYTES = 8192

export const sniff = async (path: string): Promise<Sniffed> => {
  // loaded with the first file: a gateway that only writes texts does without
  const { fileTypeFromFile } = await import('file-type')
  const found = await fileTypeFromFile(path)
  if (found) return { mimetype: ALIASES[found.mime] ?? found.mime, extension: found.ext }
  return (await isText(path)) ? { mimetype: 'text/plain', extension: 'txt' } : UNKNOWN
}

/** One name for what has several. */
const ALIASES: Readonly<Record<string, string>> = {
  'audio/x-m4a': 'audio/mp4',
  'audio/vnd.wave': 'audio/wav',
  'video/x-m4v': 'video/mp4',
  'audio/ogg; codecs=opus': 'audio/ogg',
  'image/apng': 'image/png',
}

/** Text has no bytes that text cannot have, and is UTF-8. */
const isText = async (path: string): Promise<boolean> => {
  await using file = await open(path, 'r')
  const buffer = Buffer.alloc(PROBE_BYTES)
  const { bytesRead } = await file.read(buffer, 0, PROBE_BYTES, 0)
  const head = buffer.subarray(0, bytesRead)
  if (head.length === 0 || head.some((byte) => byte < 7 || (byte > 13 && byte < 27) || byte === 127)) return false
  try {
    // `stream`: a character that the end of the probe cuts is no fault
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true })
    return true
  } catch (error) {
    if (error instanceof TypeError) return false
    throw error
  }
}
