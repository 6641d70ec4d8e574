/** The WhatsApp Web version that the pinned Baileys announces by itself; here so that it is known without loading it. */
export const BUILT_IN_VERSION = [2, 3000, 1043857760] as const satisfies readonly [number, number, number]
