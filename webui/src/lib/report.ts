/* What a trainer says at the end (report.json, format trainyard.report/1), read with care: it is a file of the run's own. */

export interface EpochRow {
  epoch: number
  train: Record<string, number>
  eval: Record<string, number>
  learningRate: number | null
  seconds: number | null
}
export interface Confusion {
  of: 'test' | 'train'
  labels: string[]
  /** rows are the truth */
  rows: number[][]
}
export interface Report {
  epochs: EpochRow[]
  confusion: Confusion | null
  values: Record<string, number>
}

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)
const number = (v: unknown): number | null => (typeof v === 'number' && Number.isFinite(v) ? v : null)
const numbers = (v: unknown): Record<string, number> =>
  Object.fromEntries(Object.entries(isObject(v) ? v : {}).filter((e): e is [string, number] => number(e[1]) !== null))

const MOST_CLASSES = 1000

function confusionOf(v: unknown): Confusion | null {
  if (!isObject(v) || !Array.isArray(v.rows)) return null
  const n = v.rows.length
  if (n < 2 || n > MOST_CLASSES) return null
  const rows = v.rows.map((r: unknown) => (Array.isArray(r) && r.length === n ? r.map((x) => number(x) ?? 0) : null))
  if (rows.some((r) => r === null)) return null
  const named = Array.isArray(v.labels) && v.labels.length === n ? v.labels : []
  return {
    of: v.of === 'train' ? 'train' : 'test',
    labels: Array.from({ length: n }, (_, i) => String(named[i] ?? i)),
    rows: rows as number[][],
  }
}

export function readReport(v: unknown): Report {
  if (!isObject(v)) return { epochs: [], confusion: null, values: {} }
  return {
    epochs: (Array.isArray(v.epochs) ? v.epochs : []).filter(isObject).map((e, i) => ({
      epoch: number(e.epoch) ?? i + 1,
      train: numbers(e.train),
      eval: numbers(e.eval),
      learningRate: number(e.learning_rate),
      seconds: number(e.seconds),
    })),
    confusion: confusionOf(v.confusion_matrix),
    values: numbers(v.values),
  }
}

const share = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null)

/** Of a class: how many of it were found, and how many so called are of it. */
export function classScores(c: Confusion): { recall: number | null; precision: number | null; total: number }[] {
  return c.rows.map((row, i) => {
    const total = row.reduce((a, b) => a + b, 0)
    const said = c.rows.reduce((a, r) => a + r[i]!, 0)
    return { recall: share(row[i]!, total), precision: share(row[i]!, said), total }
  })
}

/** The pairs of classes that are taken for each other most often. */
export function worstPairs(c: Confusion, most: number): { truth: number; said: number; count: number }[] {
  return c.rows
    .flatMap((row, truth) => row.map((count, said) => ({ truth, said, count })))
    .filter((p) => p.truth !== p.said && p.count > 0)
    .sort((a, b) => b.count - a.count || a.truth - b.truth)
    .slice(0, most)
}
