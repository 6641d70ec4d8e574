import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv4 } from 'node:net'

/** What is asked: RFC 1035, 3.2.2 and RFC 3596 for AAAA. */
export type QuestionType = 'A' | 'AAAA' | 'other'

/** Addresses, or a failure: SERVFAIL, NXDOMAIN, no answer at all, or another name to ask for (CNAME, with its addresses). */
export type DnsAnswer =
  | readonly string[]
  | 'servfail'
  | 'nxdomain'
  | 'silence'
  | { readonly cname: string; readonly addresses: readonly string[] }

export interface DnsServer extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly address: string
  /** Everything that was asked, in order: `A name`. */
  readonly asked: readonly string[]
}

const TYPES: Readonly<Record<number, QuestionType>> = { 1: 'A', 28: 'AAAA' }

/** A DNS server on 127.0.0.1 that answers as told; the test decides each time anew. */
export const startDnsServer = async (answerOf: (name: string, type: QuestionType) => DnsAnswer): Promise<DnsServer> => {
  const asked: string[] = []
  const socket = createSocket('udp4')
  socket.on('message', (query, from) => {
    const { name, type, end } = readQuestion(query)
    asked.push(`${type} ${name}`)
    const answer = answerOf(name, type)
    if (answer === 'silence') return
    socket.send(writeReply(query.subarray(0, end), type, answer), from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked,
    [Symbol.asyncDispose]: () => new Promise((resolve) => socket.close(() => resolve())),
  }
}

/** RFC 1035, 4.1.2: labels, each after its length, up to an empty one; then type and class. */
const readQuestion = (query: Buffer) => {
  const labels: string[] = []
  let at = 12
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), type: TYPES[query.readUInt16BE(at + 1)] ?? 'other', end: at + 5 }
}

const writeReply = (question: Buffer, type: QuestionType, answer: Exclude<DnsAnswer, 'silence'>): Buffer => {
  const code = answer === 'servfail' ? 2 : answer === 'nxdomain' ? 3 : 0
  const records: Buffer[] = []
  if (typeof answer !== 'string') {
    const [addresses, alias] = 'cname' in answer ? [answer.addresses, encodeName(answer.cname)] : [answer, undefined]
    if (alias) records.push(record(POINTER_TO_QUESTION, 5, alias))
    for (const address of addresses)
      if ((type === 'A') === isIPv4(address) && type !== 'other')
        records.push(record(alias ?? POINTER_TO_QUESTION, type === 'A' ? 1 : 28, bytesOf(address)))
  }
  const head = Buffer.from(question.subarray(0, 12))
  head.writeUInt16BE(0x8180 | code, 2) // an answer, recursion desired and available
  head.writeUInt16BE(records.length, 6)
  head.writeUInt32BE(0, 8) // nothing else; also leaves out what EDNS added
  return Buffer.concat([head, question.subarray(12), ...records])
}

/** RFC 1035, 4.1.4: the name at offset 12. */
const POINTER_TO_QUESTION = Buffer.from([0xc0, 0x0c])

/** RFC 1035, 4.1.3, class IN, not to be kept. */
const record = (name: Buffer, type: number, data: Buffer): Buffer => {
  const middle = Buffer.alloc(10)
  middle.writeUInt16BE(type, 0)
  middle.writeUInt16BE(1, 2)
  middle.writeUInt16BE(data.length, 8)
  return Buffer.concat([name, middle, data])
}

const encodeName = (name: string): Buffer =>
  Buffer.concat([
    ...name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
    Buffer.from([0]),
  ])

const bytesOf = (address: string): Buffer => {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  const [head = '', tail] = address.split('::')
  const words = (part: string) => (part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16)))
  const [front, back] = [words(head), words(tail ?? '')]
  const all = tail === undefined ? front : [...front, ...Array(8 - front.length - back.length).fill(0), ...back]
  const bytes = Buffer.alloc(16)
  all.forEach((word, index) => {
    bytes.writeUInt16BE(word, index * 2)
  })
  return bytes
}
