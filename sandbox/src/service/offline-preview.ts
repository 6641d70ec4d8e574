import { type BinaryNode, node } from '../wire/node.ts'

/** How much waits, by kind, as the service says before it delivers it. */
export function previewOf(waiting: readonly BinaryNode[]): BinaryNode {
  const count = (fits: (stanza: BinaryNode) => boolean) => waiting.filter(fits).length
  const isAppData = ({ tag, attrs }: BinaryNode) => tag === 'notification' && attrs.type === 'server_sync'
  return node('offline_preview', {
    count: waiting.length,
    message: count(({ tag }) => tag === 'message'),
    receipt: count(({ tag }) => tag === 'receipt'),
    notification: count((stanza) => stanza.tag === 'notification' && !isAppData(stanza)),
    appdata: count(isAppData),
    call: count(({ tag }) => tag === 'call'),
  })
}
