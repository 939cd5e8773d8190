/* Where a value lies on an axis, from 0 to 1. Numbers by their size, on a logarithmic axis when they span much; words by
 * their place in order. */
export type Value = string | number | null

export interface Placed {
  /** per value; null: it has none */
  at: (number | null)[]
  /** what to write along the axis */
  ticks: { at: number; text: string }[]
}

export function place(values: readonly Value[], format: ((v: number) => string) | null): Placed {
  const known = values.filter((v): v is string | number => v !== null)
  const numbers = known.map(Number)
  if (known.length && numbers.every((n) => Number.isFinite(n))) {
    const lo = Math.min(...numbers)
    const hi = Math.max(...numbers)
    const log = lo > 0 && hi / lo > 20
    const of = (n: number) => (lo === hi ? 0.5 : log ? Math.log(n / lo) / Math.log(hi / lo) : (n - lo) / (hi - lo))
    const text = format ?? ((n: number) => String(Number(n.toPrecision(4))))
    const middle = log ? Math.sqrt(lo * hi) : (lo + hi) / 2
    return {
      at: values.map((v) => (v === null ? null : of(Number(v)))),
      ticks: lo === hi ? [{ at: 0.5, text: text(lo) }] : [lo, middle, hi].map((n) => ({ at: of(n), text: text(n) })),
    }
  }
  const words = [...new Set(known.map(String))].sort()
  const of = (w: string) => (words.length === 1 ? 0.5 : words.indexOf(w) / (words.length - 1))
  return {
    at: values.map((v) => (v === null ? null : of(String(v)))),
    ticks: words.map((w) => ({ at: of(w), text: w.length > 22 ? `${w.slice(0, 21)}…` : w })),
  }
}
