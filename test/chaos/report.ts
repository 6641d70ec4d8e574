import type { Report } from './chaos.ts'

/** Of each kind of finding, this many are shown. */
const SHOWN = 20

/** The line of JSON. */
export const figuresOf = ({ findings, kills, windows, seconds }: Report) => ({
  sent: findings.sent,
  received: findings.received,
  lost: findings.lost.length,
  duplicated: findings.duplicated.length,
  resent: findings.resent,
  out_of_order: findings.outOfOrder.length,
  undecryptable: findings.undecryptable.length,
  repaired: findings.repaired.length,
  kills,
  windows,
  seconds,
})

/** Nothing lost, doubled, out of order, unreadable or linked again, and every window hit often enough. */
export const passed = ({ findings, uncovered }: Report): boolean =>
  [findings.lost, findings.duplicated, findings.outOfOrder, findings.undecryptable, findings.repaired, uncovered].every(
    (list) => list.length === 0,
  )

export const describe = ({ findings, weather, problems, windows, uncovered }: Report): string[] => [
  ...show('lost', findings.lost),
  ...show('duplicated', findings.duplicated),
  ...show('out of order', findings.outOfOrder),
  ...show('undecryptable', findings.undecryptable),
  ...show('linked again', findings.repaired),
  ...show('refused, and yet sent', findings.ghosts),
  ...show('no status told', findings.untold),
  `around it: ${pairs(weather)}`,
  `problems that the service logged: ${pairs(problems) || 'none'}`,
  `kills that verifiably fell into a window: ${pairs(windows)}`,
  ...(uncovered.length > 0 ? [`NOT COVERED: too few kills in ${uncovered.join(', ')}`] : []),
]

const show = (what: string, list: readonly string[]): string[] => [
  ...list.slice(0, SHOWN).map((one) => `${what}: ${one}`),
  ...(list.length > SHOWN ? [`${what}: ... ${list.length - SHOWN} more`] : []),
]

const pairs = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
