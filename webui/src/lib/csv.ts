/* Series as a table for other programs: one row a point. */
import type { MetricSeries } from './series'

/** RFC 4180: a cell with a comma, a quote or a line break is quoted. A cell that a spreadsheet would take for a formula is
 * given a leading apostrophe, since run names are other people's words. */
export function cell(value: string | number | null): string {
  if (value === null) return ''
  if (typeof value === 'number') return String(value)
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

export const csv = (rows: readonly (readonly (string | number | null)[])[]): string =>
  rows.map((r) => r.map(cell).join(',')).join('\r\n') + '\r\n'

/** All points of one metric ("loss") of some runs, both sides. */
export function curveTable(runs: readonly { label: string; run: MetricSeries }[], metric: string): string {
  const rows: (string | number | null)[][] = [['run', 'series', 'step', 'epoch', 'seconds', 'value']]
  for (const { label, run } of runs)
    for (const side of ['train', 'eval']) {
      const s = run.series.get(`${side}/${metric}`)
      s?.step.forEach((step, i) =>
        rows.push([
          label,
          side,
          step,
          run.info.steps && run.info.epochs ? run.xOf(s, i, 'epoch') : null,
          Number(run.xOf(s, i, 'time').toFixed(3)),
          s.value[i] ?? null,
        ]),
      )
    }
  return csv(rows)
}
