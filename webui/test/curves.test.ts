import { describe, expect, it } from 'vitest'
import { cell, csv, curveTable } from '../src/lib/csv'
import { decimate, GrowingPicks, lowerBound, trimmed } from '../src/lib/decimate'
import { MetricSeries, smooth, Smoother } from '../src/lib/series'

const noise = (n: number, seed = 1) => {
  let s = seed
  return Array.from({ length: n }, () => (s = (Math.imul(s, 1664525) + 1013904223) >>> 0) / 2 ** 32)
}

describe('decimate', () => {
  const n = 100_000
  const y = noise(n)
  const x = (i: number) => 3 * i

  it('keeps few points, in order, with the ends', () => {
    const d = decimate(n, x, y, null, 500)
    expect(d.x.length).toBeLessThanOrEqual(4 * 501)
    expect(d.x[0]).toBe(0)
    expect(d.x.at(-1)).toBe(3 * (n - 1))
    expect(d.x.every((v, i) => i === 0 || v > d.x[i - 1]!)).toBe(true)
  })

  it('keeps the lowest and the highest value of every column, so that no spike is lost', () => {
    const spiky = [...y]
    spiky[54321] = 1000
    spiky[12345] = -1000
    const d = decimate(n, x, spiky, null, 300)
    expect(d.y).toContain(1000)
    expect(d.y).toContain(-1000)
    const width = (3 * (n - 1)) / 300
    for (let column = 0; column < 300; column++) {
      const inColumn = (at: number) => Math.min(299, Math.floor(at / width)) === column
      const all = spiky.filter((_, i) => inColumn(x(i)))
      const kept = d.y.filter((v, i): v is number => v !== null && inColumn(d.x[i]!))
      expect(Math.max(...kept)).toBe(Math.max(...all))
      expect(Math.min(...kept)).toBe(Math.min(...all))
    }
  })

  it('gives everything where it is little, and one point beyond each side of a range', () => {
    expect(decimate(5, x, [1, null, 3, 4, 5], null, 10)).toEqual({ x: [0, 3, 6, 9, 12], y: [1, null, 3, 4, 5] })
    expect(decimate(n, x, y, [300, 600], 500).x).toEqual(Array.from({ length: 102 }, (_, i) => 297 + 3 * i))
  })

  it('keeps gaps as gaps, also of what a logarithmic axis cannot show', () => {
    const gappy = y.map((v, i) => (i === 50_000 ? null : v))
    expect(decimate(n, x, gappy, null, 100).y).toContain(null)
    expect(decimate(3, x, [1, -1, 2], null, 10, true).y).toEqual([1, null, 2])
    const d = decimate(
      n,
      x,
      y.map((v, i) => (i % 7 ? v : -v)),
      null,
      100,
      true,
    )
    expect(d.y.every((v) => v === null || v > 0)).toBe(true)
  })

  it('finds the first place that is not before a value', () => {
    expect([-1, 0, 1, 3, 4, 12, 99].map((v) => lowerBound(5, x, v))).toEqual([0, 0, 1, 1, 2, 4, 5])
  })
})

describe('GrowingPicks', () => {
  it('picks for a growing curve what it picks for the whole, with every extreme and gap', () => {
    const all: (number | null)[] = noise(20_000)
    all[777] = 50
    all[15_000] = null
    const growing: (number | null)[] = []
    const picks = new GrowingPicks()
    let last: number[] = []
    for (let n = 0; n < all.length; n += 500) {
      growing.push(...all.slice(n, n + 500))
      last = picks.of(growing, 100, false)
    }
    expect(last).toEqual(new GrowingPicks().of(all, 100, false))
    expect(last.length).toBeLessThanOrEqual(5 * 201)
    for (const i of [0, 777, 15_000, all.length - 1]) expect(last).toContain(i)
    expect(last.every((i, k) => k === 0 || i > last[k - 1]!)).toBe(true)
    const block = 128
    for (let from = 0; from < all.length; from += block) {
      const values = all.slice(from, from + block).filter((v) => v !== null)
      const kept = last.filter((i) => i >= from && i < from + block).flatMap((i) => all[i] ?? [])
      expect([Math.min(...kept), Math.max(...kept)]).toEqual([Math.min(...values), Math.max(...values)])
    }
  })
})

describe('trimmed', () => {
  it('leaves out the extreme values and nothing when there are few', () => {
    const values = [...noise(1000), 1e6, -1e6]
    const [lo, hi] = trimmed([values])!
    expect(lo).toBeGreaterThan(0)
    expect(hi).toBeLessThan(1)
    expect(trimmed([[1, 2, 100]])).toBeNull()
  })
})

describe('Smoother', () => {
  it('gives for a growing series what it gives for the whole', () => {
    const all = noise(500).map((v, i) => (i % 50 === 3 ? null : v))
    const growing: (number | null)[] = []
    const s = new Smoother()
    let last: readonly (number | null)[] = []
    for (const v of all) {
      growing.push(v)
      last = s.of(growing, 0.9)
    }
    expect(last).toEqual(smooth(all, 0.9))
    expect(s.of(growing, 0.5)).toEqual(smooth(all, 0.5)) // and begins anew with another weight
    expect(s.of(all.slice(0, 7), 0.5)).toEqual(smooth(all.slice(0, 7), 0.5)) // or another series
  })
})

describe('CSV', () => {
  it('quotes what needs it and disarms what a spreadsheet would run', () => {
    expect(cell('a,b')).toBe('"a,b"')
    expect(cell('say "x"')).toBe('"say ""x"""')
    expect(cell('=HYPERLINK("http://x")')).toBe(`"'=HYPERLINK(""http://x"")"`)
    expect(cell(-0.5)).toBe('-0.5')
    expect(
      csv([
        ['a', null],
        [1, 2],
      ]),
    ).toBe('a,\r\n1,2\r\n')
  })

  it('has a row for every point of both sides', () => {
    const run = new MetricSeries()
    run.add({ seq: 1, attempt: 1, record: { t: 100, kind: 'start', steps: 10, epochs: 2 } })
    run.add({ seq: 2, attempt: 1, record: { t: 101, kind: 'train', step: 5, values: { loss: 0.5 } } })
    run.add({ seq: 3, attempt: 1, record: { t: 102, kind: 'eval', step: 5, values: { loss: null } } })
    expect(curveTable([{ label: '#7 a', run }], 'loss').split('\r\n')).toEqual([
      'run,series,step,epoch,seconds,value',
      '#7 a,train,5,1,1,0.5',
      '#7 a,eval,5,1,2,',
      '',
    ])
  })
})
