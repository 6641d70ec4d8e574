import { LRUCache } from 'lru-cache'

const SIDE = 256

/** Loaded on first use: linking is rare, and the start is counted. */
const library = () => import('qrcode')

/** Draws QR codes. The page polls the same code again and again, so the last ones are kept. */
export class QrImages {
  readonly #urls = new LRUCache<string, string>({ max: 200 })

  /** PNG, 256 by 256, medium error correction. */
  async png(code: string): Promise<Buffer> {
    const { toBuffer } = await library()
    return toBuffer(code, { type: 'png', width: SIDE, margin: 2, errorCorrectionLevel: 'M' })
  }

  /** `data:image/png;base64,...` */
  async dataUrl(code: string): Promise<string> {
    const known = this.#urls.get(code)
    if (known) return known
    const url = `data:image/png;base64,${(await this.png(code)).toString('base64')}`
    this.#urls.set(code, url)
    return url
  }

  /** Half-block characters, for a terminal. */
  async text(code: string): Promise<string> {
    const { toString: draw } = await library()
    return draw(code, { type: 'utf8', errorCorrectionLevel: 'L', margin: 2 })
  }
}
