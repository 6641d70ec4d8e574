import { messageOf } from '../../kernel/errors.ts'

/** WhatsApp serves its service worker only to what looks like a browser that opens the page. */
const HEADERS = {
  'sec-fetch-site': 'none',
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
}

/** The service worker has about 100 KB; more than this is something else. */
const MOST_BYTES = 5 * 1_024 * 1_024

/** Reads a text over HTTP. @throws Error on any status but 2xx, or when it is too long */
export const fetchText = async (url: string, signal: AbortSignal): Promise<string> => {
  const response = await ask(url, signal)
  if (!response.ok) {
    await response.body?.cancel()
    throw new Error(`${new URL(url).host} answered ${response.status}`)
  }
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of response.body ?? []) {
    bytes += part.byteLength
    if (bytes > MOST_BYTES) throw new Error(`${new URL(url).host} answered more than ${MOST_BYTES} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

/** `fetch` says no more than "fetch failed"; its cause says why. */
const ask = async (url: string, signal: AbortSignal): Promise<Response> => {
  try {
    return await fetch(url, { headers: HEADERS, signal })
  } catch (error) {
    signal.throwIfAborted()
    const why = error instanceof Error && error.cause !== undefined ? error.cause : error
    throw new Error(`${new URL(url).host} cannot be reached: ${messageOf(why)}`, { cause: error })
  }
}
