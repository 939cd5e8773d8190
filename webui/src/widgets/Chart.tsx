/* A uPlot in React's clothes: made once, fed with data, resized with its box, redrawn when the theme changes. */
import { useEffect, useRef, useState } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'

export interface ChartLine {
  label: string
  /** name of a CSS variable that holds the colour */
  color: string
  faint?: boolean
  points?: boolean
  /** the value under the cursor as text; a faint line usually has none */
  value?: (v: number | null) => string
}

export interface ChartProps {
  title: string
  lines: readonly ChartLine[]
  data: readonly (readonly (number | null | undefined)[])[]
  xLabel: (x: number) => string
  yLabel: (y: number) => string
  logarithmic: boolean
  /** charts with the same group share their cursor */
  group: string
  height?: number
}

interface Hover {
  left: number
  x: string
  rows: { label: string; color: string; text: string }[]
}

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim()
}

function useThemeVersion(): number {
  const [version, setVersion] = useState(0)
  useEffect(() => {
    const changed = () => setVersion((v) => v + 1)
    const observer = new MutationObserver(changed)
    observer.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] })
    const media = matchMedia('(prefers-color-scheme: dark)')
    media.addEventListener('change', changed)
    return () => {
      observer.disconnect()
      media.removeEventListener('change', changed)
    }
  }, [])
  return version
}

export function Chart({ title, lines, data, xLabel, yLabel, logarithmic, group, height = 240 }: ChartProps) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const [hover, setHover] = useState<Hover | null>(null)
  const theme = useThemeVersion()
  const now = useRef({ lines, xLabel, yLabel, data })
  useEffect(() => {
    now.current = { lines, xLabel, yLabel, data }
  })
  const shape = lines.map((l) => `${l.label} ${l.color} ${l.faint ?? ''} ${l.points ?? ''}`).join('|')

  useEffect(() => {
    const target = box.current
    if (!target) return
    const grid = { stroke: css('--chart-grid'), width: 1 }
    const axis = { stroke: css('--text-3'), grid, ticks: { show: false }, font: '11px system-ui, sans-serif' }
    const u = new uPlot(
      {
        width: target.clientWidth,
        height,
        legend: { show: false },
        cursor: {
          sync: { key: group, setSeries: false },
          points: { size: 7, width: 1.5 },
          drag: { x: true, y: false, uni: 20 },
          focus: { prox: 24 },
        },
        scales: {
          x: { time: false },
          y: logarithmic ? { distr: 3, log: 10 } : { range: (_, lo, hi) => padded(lo, hi) },
        },
        axes: [
          { ...axis, size: 26, gap: 4, values: (_, ticks) => ticks.map((v) => now.current.xLabel(v)) },
          {
            ...axis,
            size: 54,
            gap: 6,
            values: (_, ticks) => ticks.map((v) => (v === null ? '' : now.current.yLabel(v))),
          },
        ],
        series: [
          {},
          ...now.current.lines.map((l) => ({
            label: l.label,
            stroke: css(l.color),
            alpha: l.faint ? 0.28 : 1,
            width: l.faint ? 1 : 1.75,
            spanGaps: false,
            points: { show: l.points ?? false, size: 6, width: 1.5, fill: css('--surface') },
          })),
        ],
        hooks: {
          setCursor: [
            (self) => {
              const { idx, left } = self.cursor
              if (idx == null || left == null || left < 0) {
                setHover(null)
                return
              }
              const at = now.current
              const x = self.data[0][idx]
              const rows = at.lines.flatMap((l, k) => {
                const v = l.value && nearest(self.data[k + 1] ?? [], idx)
                return l.value && v != null ? [{ label: l.label, color: l.color, text: l.value(v) }] : []
              })
              setHover(x === undefined ? null : { left, x: at.xLabel(x), rows })
            },
          ],
        },
      },
      now.current.data as uPlot.AlignedData,
      target,
    )
    plot.current = u
    const resize = new ResizeObserver(() => u.setSize({ width: target.clientWidth, height }))
    resize.observe(target)
    return () => {
      resize.disconnect()
      u.destroy()
      plot.current = null
      setHover(null)
    }
  }, [shape, logarithmic, group, height, theme])

  useEffect(() => {
    const u = plot.current
    if (!u) return
    // A person who zoomed in looks at a place: new points must not take it away.
    const { min, max } = u.scales.x ?? {}
    const x = u.data[0]
    const zoomed = min != null && max != null && x.length > 1 && (min > x[0]! || max < x[x.length - 1]!)
    u.setData(data as uPlot.AlignedData, !zoomed)
    if (zoomed) u.redraw()
  }, [data])

  const count = data.slice(1).reduce((n, column) => n + column.reduce<number>((m, v) => (v == null ? m : m + 1), 0), 0)
  return (
    <figure className="chart" data-chart={title} data-points={count} aria-label={title}>
      <div ref={box} style={{ minHeight: height }} />
      {hover && hover.rows.length > 0 && (
        <div
          className="chart-tip"
          style={hover.left > 160 ? { right: `calc(100% - ${hover.left + 46}px)` } : { left: hover.left + 74 }}
        >
          <b>{hover.x}</b>
          {hover.rows.map((r) => (
            <span key={r.label}>
              <i style={{ background: `var(${r.color})` }} />
              {r.label}
              <em>{r.text}</em>
            </span>
          ))}
        </div>
      )}
    </figure>
  )
}

/** The value at i, or the last one before it: lines have points at different steps. */
function nearest(column: ArrayLike<number | null | undefined>, i: number): number | null {
  for (let k = i; k >= 0; k--) {
    const v = column[k]
    if (v != null) return v
  }
  return null
}

function padded(lo: number | null, hi: number | null): [number, number] {
  if (lo == null || hi == null) return [0, 1]
  if (lo === hi) return lo > 0 ? [0, 2 * hi] : [lo - 1, hi + 1]
  const pad = (hi - lo) * 0.06
  // Losses and shares end at zero: an axis that goes below it says something that is not so.
  return [lo >= 0 && lo - pad < 0 ? 0 : lo - pad, hi + pad]
}
