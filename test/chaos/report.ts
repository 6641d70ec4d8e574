import type { Report } from './chaos.ts'

/** Of each kind of finding, this many are shown. */
const SHOWN = 20

/** The line of JSON. */
export const figuresOf = ({ findings, kills, windows, faults, readers, seconds }: Report) => ({
  sent: findings.sent,
  received: findings.received,
  lost: findings.lost.length,
  duplicated: findings.duplicated.length,
  resent: findings.resent,
  out_of_order: findings.outOfOrder.length,
  undecryptable: findings.undecryptable.length,
  repaired: findings.repaired.length,
  redelivered: findings.redelivered,
  dead_letters: findings.deadLetters.length,
  kills,
  windows,
  receiver_faults: faults,
  readers,
  seconds,
})

/** Nothing lost, doubled, out of order, unreadable, linked again or given up; every window and fault hit often enough. */
export const passed = ({ findings, uncovered }: Report): boolean =>
  [
    findings.lost,
    findings.duplicated,
    findings.outOfOrder,
    findings.undecryptable,
    findings.repaired,
    findings.deadLetters,
    uncovered,
  ].every((list) => list.length === 0)

export const describe = ({ findings, weather, problems, windows, faults, readers, uncovered }: Report): string[] => [
  ...show('lost', findings.lost),
  ...show('duplicated', findings.duplicated),
  ...show('out of order', findings.outOfOrder),
  ...show('undecryptable', findings.undecryptable),
  ...show('linked again', findings.repaired),
  ...show('given up', findings.deadLetters),
  ...show('refused, and yet sent', findings.ghosts),
  ...show('no status told', findings.untold),
  `around it: ${pairs(weather)}`,
  `problems that the service logged: ${pairs(problems) || 'none'}`,
  `kills that verifiably fell into a window: ${pairs(windows)}`,
  `faults of the receiver that verifiably hit: ${pairs(faults)}`,
  `live readers: ${Object.entries(readers)
    .map(([name, { events, connections }]) => `${name} ${events} events over ${connections} connections`)
    .join(', ')}`,
  ...(uncovered.length > 0 ? [`NOT COVERED: too few hits of ${uncovered.join(', ')}`] : []),
]

const show = (what: string, list: readonly string[]): string[] => [
  ...list.slice(0, SHOWN).map((one) => `${what}: ${one}`),
  ...(list.length > SHOWN ? [`${what}: ... ${list.length - SHOWN} more`] : []),
]

const pairs = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
