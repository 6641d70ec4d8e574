import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../src/kernel/clock.ts'
import { Tools } from '../../../src/media/tools.ts'

/** Files of all kinds, made on the spot. */
export class Samples implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'parley-samples-'))
  readonly tools = new Tools({ ffmpegPath: process.env.FFMPEG_PATH, clock: systemClock })

  path(name: string): string {
    return join(this.folder, name)
  }

  /** A photo: noise, so that it does not compress to nothing. */
  async photo(name: string, options: { width: number; height: number; orientation?: number }): Promise<Buffer> {
    const { default: sharp } = await import('sharp')
    const { width, height, orientation } = options
    const noise = {
      create: {
        width,
        height,
        channels: 3 as const,
        background: '#888',
        noise: { type: 'gaussian' as const, mean: 128, sigma: 40 },
      },
    }
    const picture = orientation === undefined ? sharp(noise) : sharp(noise).withMetadata({ orientation })
    await picture.toFile(this.path(name))
    return readFileSync(this.path(name))
  }

  /** Whatever ffmpeg makes of these arguments. */
  async make(name: string, ...args: readonly string[]): Promise<Buffer> {
    const { ok, complaint } = await this.tools.run('ffmpeg', ['-nostdin', '-v', 'error', ...args, this.path(name)])
    if (!ok) throw new Error(`ffmpeg could not make ${name}: ${complaint}`)
    return readFileSync(this.path(name))
  }

  /** Colour bars with a tone. */
  film(name: string, seconds: number, size = '320x240'): Promise<Buffer> {
    return this.make(
      name,
      ...['-f', 'lavfi', '-i', `testsrc=duration=${seconds}:size=${size}:rate=10`],
      ...['-f', 'lavfi', '-i', `sine=frequency=440:duration=${seconds}`],
      ...['-c:v', 'libx264', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-movflags', '+faststart'],
    )
  }

  /** A tone; the ending says in which form. */
  tone(name: string, seconds: number): Promise<Buffer> {
    return this.make(name, '-f', 'lavfi', '-i', `sine=frequency=440:duration=${seconds}`)
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
