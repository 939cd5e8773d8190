/* Long curves made short enough to draw, without changing what one sees: of each column of pixels its first, lowest,
 * highest and last point (M4; Jugel et al., VLDB 2014). A line through those covers the same pixels as a line through all. */

export interface Points {
  x: number[]
  y: (number | null)[]
}

/** Index of the first i in [0, n) whose x is at least v; x does not fall. */
export function lowerBound(n: number, xAt: (i: number) => number, v: number): number {
  let lo = 0
  let hi = n
  while (lo < hi) {
    const mid = (lo + hi) >> 1
    if (xAt(mid) < v) lo = mid + 1
    else hi = mid
  }
  return lo
}

/**
 * At most 4 * columns points of a curve between two places (null: all of it), with one point more on each side so that lines
 * go on to the edge. Gaps (null) stay gaps. positive: values of zero and below are gaps, for a logarithmic axis.
 */
export function decimate(
  n: number,
  xAt: (i: number) => number,
  value: readonly (number | null)[],
  range: readonly [number, number] | null,
  columns: number,
  positive = false,
): Points {
  const from = range ? Math.max(0, lowerBound(n, xAt, range[0]) - 1) : 0
  const to = range ? Math.min(n, lowerBound(n, xAt, range[1]) + 1) : n
  const out: Points = { x: [], y: [] }
  const keep = (i: number) => {
    const v = value[i] ?? null
    out.x.push(xAt(i))
    out.y.push(v !== null && positive && v <= 0 ? null : v)
  }
  if (to - from <= 4 * columns) {
    for (let i = from; i < to; i++) keep(i)
    return out
  }
  const left = xAt(from)
  const scale = columns / (xAt(to - 1) - left || 1)
  let i = from
  while (i < to) {
    const column = Math.floor((xAt(i) - left) * scale)
    const first = i
    let low = -1
    let high = -1
    let gap = -1
    for (; i < to && Math.floor((xAt(i) - left) * scale) === column; i++) {
      const v = value[i] ?? null
      if (v === null || (positive && v <= 0)) gap = i
      else {
        if (low < 0 || v < value[low]!) low = i
        if (high < 0 || v > value[high]!) high = i
      }
    }
    const picked = [first, low, high, i - 1, gap].filter((k) => k >= 0).sort((a, b) => a - b)
    picked.forEach((k, at) => {
      if (at === 0 || k !== picked[at - 1]) keep(k)
    })
  }
  return out
}

/** The same for a growing curve looked at as a whole: points are taken by blocks of equal number, whose picks are kept, so
 * that a thousand new points cost a thousand, not all that came before. Blocks are at most as wide as a column. */
export class GrowingPicks {
  private picks: number[] = []
  private done = 0
  private block = 0
  private source: readonly (number | null)[] | null = null
  private positive = false

  /** Indices into values, rising; all of them while they are few. */
  of(values: readonly (number | null)[], columns: number, positive: boolean): number[] {
    const n = values.length
    if (n <= 4 * columns) return Array.from({ length: n }, (_, i) => i)
    const block = 2 ** Math.floor(Math.log2(n / columns))
    if (block !== this.block || values !== this.source || positive !== this.positive || n < this.done) {
      this.picks = []
      this.done = 0
      this.block = block
      this.source = values
      this.positive = positive
    }
    for (; this.done + block <= n; this.done += block) this.take(values, this.done, this.done + block, this.picks)
    const rest: number[] = []
    if (this.done < n) this.take(values, this.done, n, rest)
    return [...this.picks, ...rest]
  }

  private take(values: readonly (number | null)[], from: number, to: number, into: number[]): void {
    let low = -1
    let high = -1
    let gap = -1
    for (let i = from; i < to; i++) {
      const v = values[i] ?? null
      if (v === null || (this.positive && v <= 0)) gap = i
      else {
        if (low < 0 || v < values[low]!) low = i
        if (high < 0 || v > values[high]!) high = i
      }
    }
    let before = -1
    for (const k of [from, low, high, to - 1, gap].sort((a, b) => a - b))
      if (k > before) {
        into.push(k)
        before = k
      }
  }
}

/** The span that holds all but the given share of the values on each side: what an axis shows when outliers are trimmed. */
export function trimmed(lines: readonly (readonly (number | null)[])[], share = 0.02): [number, number] | null {
  const all = lines.flatMap((l) => l.filter((v): v is number => v !== null)).sort((a, b) => a - b)
  if (all.length < 10) return null
  const lo = all[Math.floor((all.length - 1) * share)]!
  const hi = all[Math.ceil((all.length - 1) * (1 - share))]!
  return lo < hi ? [lo, hi] : null
}
