import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { runChaos } from '../chaos/chaos.ts'
import { describe as describeReport, figuresOf, passed } from '../chaos/report.ts'

/** Fixed, so that a failure can be had again: `npm run chaos -- --kills 10 --seed chaos-test`. */
const RUN = { seed: 'chaos-test', database: 'sqlite', json: true, keep: false } as const

describe('chaos, the short form', () => {
  test('ten kills, in every window, and a receiver with every fault, lose, double, reorder and spoil nothing', async () => {
    const report = await runChaos({ ...RUN, kills: 10, durability: true }, () => undefined)
    assert.ok(passed(report), describeReport(report).join('\n'))
    const figures = figuresOf(report)
    assert.equal(figures.kills, 10)
    assert.ok(figures.sent > 100 && figures.received > figures.sent, JSON.stringify(figures))
    for (const [fault, hits] of Object.entries(figures.receiver_faults)) assert.ok(hits > 0, fault)
    // in as many pieces as there were lives, at least
    for (const { events, connections } of Object.values(figures.readers))
      assert.ok(events > figures.sent && connections > 10, JSON.stringify(figures.readers))
  })

  test('a gateway whose commits become durable late is found out', async () => {
    const report = await runChaos({ ...RUN, kills: 5, durability: false }, () => undefined)
    const { lost, duplicated, undecryptable } = report.findings
    assert.ok(lost.length + duplicated.length + undecryptable.length > 0, describeReport(report).join('\n'))
  })
})
