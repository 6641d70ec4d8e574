import type { BinaryNode, WASocket } from 'baileys'

/**
 * Takes Baileys' only listener for a stanza off, puts ours in its place, and answers Baileys'. A Baileys that listens
 * otherwise is noticed at the first connection instead of silently handling stanzas twice.
 */
export const replaceListener = (
  sock: WASocket,
  name: `CB:${string}`,
  listener: (node: BinaryNode) => void,
): ((node: BinaryNode) => unknown) => {
  const [stock, ...others] = sock.ws.listeners(name)
  if (!stock || others.length > 0) throw new Error(`expected exactly one listener of Baileys for ${name}`)
  sock.ws.off(name, stock as never)
  sock.ws.on(name, listener)
  return stock as (node: BinaryNode) => unknown
}
