import { describe, expect, it } from 'vitest'
import type { MetricRecord, Sequenced } from '../src/api/types'
import { align, MetricSeries, smooth, thin } from '../src/lib/series'

const FENCE = 2 ** 40
let line = 0
const rec = (attempt: number, record: Omit<MetricRecord, 't'> & { t?: number }): Sequenced<MetricRecord> => ({
  seq: attempt * FENCE + ++line,
  attempt,
  record: { t: 1000 + line, ...record } as MetricRecord,
})
const train = (attempt: number, step: number, loss: number) =>
  rec(attempt, { kind: 'train', step, epoch: 0, values: { loss } })

describe('series', () => {
  it('keep train and eval apart and count their points', () => {
    const m = new MetricSeries()
    m.add(rec(1, { kind: 'start', steps: 100, epochs: 2, ranks: 2, parameters: 10 }))
    m.add(train(1, 10, 2))
    m.add(rec(1, { kind: 'eval', step: 50, epoch: 1, values: { loss: 1.5, accuracy: 0.4 } }))
    expect([...m.series.keys()].sort()).toEqual(['eval/accuracy', 'eval/loss', 'train/loss'])
    expect(m.points).toBe(3)
    expect(m.keys()).toEqual(['loss', 'accuracy'])
    expect(m.last('eval/accuracy')).toBe(0.4)
  })

  it('take a record once', () => {
    const m = new MetricSeries()
    const e = train(1, 10, 2)
    expect(m.add(e)).toBe(true)
    expect(m.add(e)).toBe(false)
    expect(m.points).toBe(1)
  })

  it('drop what a resumed attempt did again', () => {
    const m = new MetricSeries()
    m.add(rec(1, { kind: 'start', steps: 100, epochs: 1 }))
    for (const s of [10, 20, 30, 40]) m.add(train(1, s, 9))
    m.add(rec(2, { kind: 'start', steps: 100, epochs: 1 }))
    expect(m.points).toBe(4) // not before it says from where it goes on
    m.add(rec(2, { kind: 'resume', step: 20 }))
    m.add(train(2, 30, 1))
    expect(m.series.get('train/loss')!.step).toEqual([10, 20, 30])
    expect(m.series.get('train/loss')!.value).toEqual([9, 9, 1])
    expect(m.points).toBe(3)
  })

  it('drop everything when an attempt begins anew', () => {
    const m = new MetricSeries()
    for (const s of [10, 20]) m.add(train(1, s, 9))
    m.add(rec(2, { kind: 'start', steps: 100, epochs: 1 }))
    m.add(train(2, 5, 3))
    expect(m.series.get('train/loss')!.step).toEqual([5])
  })

  it('make a gap of a value that is no number', () => {
    const m = new MetricSeries()
    m.add(rec(1, { kind: 'train', step: 1, values: { loss: null } }))
    m.add(rec(1, { kind: 'train', step: 2, values: { loss: Number.NaN } }))
    expect(m.series.get('train/loss')!.value).toEqual([null, null])
  })

  it('tell the time left by the pace of the last half minute', () => {
    const m = new MetricSeries()
    m.add(rec(1, { kind: 'start', steps: 1000, epochs: 10, t: 0 }))
    m.add(rec(1, { kind: 'train', step: 100, t: 0, values: {} }))
    m.add(rec(1, { kind: 'train', step: 200, t: 100, values: {} })) // slow, long ago
    m.add(rec(1, { kind: 'train', step: 300, t: 110, values: {} }))
    const p = m.progress()!
    expect(p.step).toBe(300)
    expect(p.epoch).toBe(3)
    expect(p.secondsLeft).toBeCloseTo(70)
    m.add(rec(1, { kind: 'end', step: 1000, t: 180, values: {} }))
    expect(m.progress()).toMatchObject({ step: 1000, secondsLeft: null })
  })

  it('know each axis', () => {
    const m = new MetricSeries()
    m.add(rec(1, { kind: 'start', steps: 100, epochs: 4, t: 500 }))
    m.add(rec(1, { kind: 'train', step: 50, t: 507, values: { loss: 1 } }))
    const s = m.series.get('train/loss')!
    expect([m.xOf(s, 0, 'step'), m.xOf(s, 0, 'epoch'), m.xOf(s, 0, 'time')]).toEqual([50, 2, 7])
  })
})

describe('smooth', () => {
  it('is the identity at zero', () => expect(smooth([1, null, 3], 0)).toEqual([1, null, 3]))
  it('has no start-up bias and keeps a constant', () => {
    for (const v of smooth([5, 5, null, 5], 0.9)) if (v !== null) expect(v).toBeCloseTo(5)
  })
  it('lies between old and new', () => {
    const [, b] = smooth([0, 10], 0.5)
    expect(b).toBeCloseTo(10 * (0.5 / 0.75))
  })
})

describe('align', () => {
  it('joins lines on their x', () => {
    expect(
      align([
        { x: [1, 2, 4], y: [10, 20, 40] },
        { x: [2, 3], y: [200, 300] },
      ]),
    ).toEqual([
      [1, 2, 3, 4],
      [10, 20, undefined, 40],
      [undefined, 200, 300, undefined],
    ])
  })
  it('lets the later of two records at one step count', () => {
    expect(
      align([
        { x: [1, 1, 2], y: [5, 6, 7] },
        { x: [2], y: [0] },
      ]),
    ).toEqual([
      [1, 2],
      [6, 7],
      [undefined, 0],
    ])
  })
  it('agrees with a plain merge on many points', () => {
    const x1 = Array.from({ length: 500 }, (_, i) => i * 3)
    const x2 = Array.from({ length: 300 }, (_, i) => i * 5)
    const [x, a, b] = align([
      { x: x1, y: x1 },
      { x: x2, y: x2 },
    ])
    expect(x).toEqual([...new Set([...x1, ...x2])].sort((p, q) => p - q))
    x.forEach((v, i) => {
      expect(a![i]).toBe(v % 3 === 0 && v < 1500 ? v : undefined)
      expect(b![i]).toBe(v % 5 === 0 && v < 1500 ? v : undefined)
    })
  })
})

it('thin keeps the ends of a long series in its means', () => {
  const t = thin(
    Array.from({ length: 1000 }, (_, i) => i),
    10,
  )
  expect(t).toHaveLength(10)
  expect(t[0]).toBeCloseTo(49.5)
  expect(t[9]).toBeCloseTo(949.5)
  expect(thin([1, null, 2], 10)).toEqual([1, 2])
})
