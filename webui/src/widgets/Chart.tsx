/* A uPlot in React's clothes: made once, fed with data, resized with its box, redrawn when the theme changes. */
import { useEffect, useRef, useState } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'

export interface ChartLine {
  /** what the tip beside the cursor calls it */
  label: string
  /** name of a CSS variable that holds the colour */
  color: string
  faint?: boolean
  dashed?: boolean
  points?: boolean
  /** the value under the cursor as text; a faint line usually has none */
  value?: (v: number | null) => string
}

export type Range = readonly [number, number]

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
  /** how many points the lines stand for; absent: those in data */
  count?: number
  /** what part of x is shown, null for all of it; with onRange the parent keeps it and charts zoom together */
  range?: Range | null
  onRange?: (range: Range | null) => void
  /** fixed limits of y, for example without outliers */
  limits?: Range | null
  /** values are shares of one: the axis does not go past it */
  share?: boolean
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

export function Chart(props: ChartProps) {
  const { title, lines, data, logarithmic, group, height = 240, count, limits = null } = props
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const [hover, setHover] = useState<Hover | null>(null)
  const [own, setOwn] = useState<Range | null>(null)
  const range = props.onRange ? (props.range ?? null) : own
  const theme = useThemeVersion()
  const setRange = props.onRange ?? setOwn
  const now = useRef({ ...props, limits, range, setRange })
  useEffect(() => {
    now.current = { ...props, limits, range, setRange }
  })
  const shape = lines.map((l) => `${l.label} ${l.color} ${l.faint ?? ''} ${l.dashed ?? ''} ${l.points ?? ''}`).join('|')

  useEffect(() => {
    const target = box.current
    if (!target) return
    const u = new uPlot(
      options(target, height, logarithmic, group, now, setHover),
      now.current.data as uPlot.AlignedData,
      target,
    )
    plot.current = u
    if (now.current.range) u.setScale('x', { min: now.current.range[0], max: now.current.range[1] })
    const resize = new ResizeObserver(() => u.setSize({ width: target.clientWidth, height }))
    resize.observe(target)
    const whole = () => now.current.setRange(null)
    u.over.addEventListener('dblclick', whole)
    return () => {
      u.over.removeEventListener('dblclick', whole)
      resize.disconnect()
      u.destroy()
      plot.current = null
      setHover(null)
    }
  }, [shape, logarithmic, group, height, theme])

  const [from, to] = range ?? [null, null]
  const [low, high] = limits ?? [null, null]
  useEffect(() => {
    const u = plot.current
    if (!u) return
    u.batch(() => {
      // A person who zoomed in looks at a place: new points must not take it away.
      u.setData(data as uPlot.AlignedData, from === null)
      if (from !== null && to !== null) u.setScale('x', { min: from, max: to })
    })
  }, [data, from, to, low, high])

  const drawn = count ?? data.slice(1).reduce((n, c) => n + c.reduce<number>((m, v) => (v == null ? m : m + 1), 0), 0)
  return (
    <figure className="chart" data-chart={title} data-points={drawn} data-zoomed={from !== null} aria-label={title}>
      <div ref={box} style={{ minHeight: height }} />
      {hover && hover.rows.length > 0 && (
        <div
          className="chart-tip"
          style={hover.left > 160 ? { right: `calc(100% - ${hover.left + 46}px)` } : { left: hover.left + 74 }}
        >
          <b>{hover.x}</b>
          {hover.rows.map((r, i) => (
            <span key={i}>
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

interface Now extends ChartProps {
  setRange: (range: Range | null) => void
}

function options(
  target: HTMLElement,
  height: number,
  logarithmic: boolean,
  group: string,
  now: { current: Now },
  setHover: (h: Hover | null) => void,
): uPlot.Options {
  const grid = { stroke: css('--chart-grid'), width: 1 }
  const axis = { stroke: css('--text-3'), grid, ticks: { show: false }, font: '11px system-ui, sans-serif' }
  const inLimits: uPlot.Range.Function = (_, lo, hi) => {
    const { limits, share } = now.current
    return padded(limits?.[0] ?? lo, limits?.[1] ?? hi, share ?? false)
  }
  return {
    width: target.clientWidth,
    height,
    legend: { show: false },
    cursor: {
      sync: { key: group, setSeries: false },
      points: { size: 7, width: 1.5 },
      drag: { x: true, y: false, setScale: false },
      bind: { dblclick: () => null },
    },
    scales: { x: { time: false }, y: logarithmic ? { distr: 3, log: 10 } : { range: inLimits } },
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
        ...(l.dashed && { dash: [5, 4] }),
        spanGaps: false,
        points: { show: l.points ?? false, size: 6, width: 1.5, fill: css('--surface') },
      })),
    ],
    hooks: {
      setSelect: [
        (u) => {
          const { left, width } = u.select
          // Charts of one group share the gesture too; only the one under the pointer answers.
          if (width < 4 || !u.cursor.event) return
          now.current.setRange([u.posToVal(left, 'x'), u.posToVal(left + width, 'x')])
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        },
      ],
      setCursor: [(u) => setHover(hoverAt(u, now.current))],
    },
  }
}

function hoverAt(u: uPlot, at: Now): Hover | null {
  const { idx, left } = u.cursor
  if (idx == null || left == null || left < 0) return null
  const x = u.data[0][idx]
  if (x === undefined) return null
  const rows = at.lines.flatMap((l, k) => {
    const v = l.value && nearest(u.data[k + 1] ?? [], idx)
    return l.value && v != null ? [{ label: l.label, color: l.color, text: l.value(v) }] : []
  })
  return { left, x: at.xLabel(x), rows }
}

/** The value at i, or the last one before it: lines have points at different steps. */
function nearest(column: ArrayLike<number | null | undefined>, i: number): number | null {
  for (let k = i; k >= 0; k--) {
    const v = column[k]
    if (v != null) return v
  }
  return null
}

function padded(lo: number | null, hi: number | null, share: boolean): [number, number] {
  if (lo == null || hi == null) return [0, 1]
  if (lo === hi && !share) return lo > 0 ? [0, 2 * hi] : [lo - 1, hi + 1]
  const pad = (hi - lo) * 0.06 || 0.05
  // Losses and shares end at zero: an axis that goes below it says something that is not so.
  const bottom = lo >= 0 && lo - pad < 0 ? 0 : lo - pad
  return [bottom, share && hi <= 1 ? Math.min(hi + pad, 1.012) : hi + pad]
}
