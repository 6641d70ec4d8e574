/** A file made ready to be sent, and what the message says about it. */
export interface Prepared {
  readonly path: string
  readonly mimetype: string
  readonly width?: number
  readonly height?: number
  readonly seconds?: number
  readonly jpegThumbnail?: Uint8Array
  readonly voiceNote?: boolean
  readonly waveform?: Uint8Array
  readonly animated?: boolean
}
