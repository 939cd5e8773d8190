/* Curves of one run or of several: the controls, and a chart a metric. Charts zoom and point together. */
import { useEffect, useMemo, useRef, useState, type ReactNode } from 'react'
import { useI18n } from '../i18n'
import { curveTable } from '../lib/csv'
import { decimate, GrowingPicks, trimmed } from '../lib/decimate'
import { formatClock, formatCompact, formatDuration, formatMetric, isShare } from '../lib/format'
import { usePreference } from '../lib/preferences'
import { saveBlob, saveText } from '../lib/save'
import { align, Smoother, type Axis, type Line, type MetricSeries } from '../lib/series'
import { Button, IconButton, Segmented } from './basic'
import { Chart, type ChartLine, type Range } from './Chart'

export interface CurveSource {
  /** of the run, in files and tips */
  label: string
  run: MetricSeries
  /** name of a CSS variable; null: one run alone, whose two sides have colours of their own */
  color: string | null
}

const axes: readonly Axis[] = ['step', 'epoch', 'time', 'wall']
const COLUMNS = 700

interface View {
  axis: Axis
  weight: number
  logarithmic: boolean
  trim: boolean
  range: Range | null
  setRange: (r: Range | null) => void
}

export function Curves({
  sources,
  version,
  group,
  empty,
  points,
  complete,
  title,
}: {
  sources: readonly CurveSource[]
  /** changes whenever one of the growing series did */
  version: unknown
  group: string
  empty: ReactNode
  points: number
  complete: boolean
  title: string
}) {
  const { t } = useI18n()
  const [axis, setAxis] = usePreference('axis', axes, 'step')
  const [scale, setScale] = usePreference('scale', ['linear', 'log'] as const, 'linear')
  const [trim, setTrim] = usePreference('trim', ['off', 'on'] as const, 'off')
  const [weight, setWeight] = useState(0)
  const [more, setMore] = useState(false)
  const [wide, setWide] = useState<string | null>(null)
  const [range, setRange] = useState<Range | null>(null)
  const keys = [...new Set(sources.flatMap((s) => s.run.keys()))]
  const shown = more ? keys : keys.filter((k) => k === 'loss' || k === 'accuracy' || keys.length <= 2)
  const view: View = { axis, weight, logarithmic: scale === 'log', trim: trim === 'on', range, setRange }

  return (
    <section className="card curves" aria-label={title} data-points={points} data-complete={complete}>
      <header className="card-head">
        <h2>{title}</h2>
        <div className="row wrap">
          {range && (
            <Button tone="quiet" icon="zoomout" onClick={() => setRange(null)}>
              {t('curves.whole')}
            </Button>
          )}
          <label className="slider">
            {t('curves.smoothing')}
            <input
              type="range"
              min={0}
              max={0.99}
              step={0.01}
              value={weight}
              aria-valuetext={weight.toFixed(2)}
              onChange={(e) => setWeight(Number(e.target.value))}
            />
            <output>{weight.toFixed(2)}</output>
          </label>
          <button
            type="button"
            className="toggle"
            aria-pressed={trim === 'on'}
            title={t('curves.trim.text')}
            onClick={() => setTrim(trim === 'on' ? 'off' : 'on')}
          >
            {t('curves.trim')}
          </button>
          <Segmented
            label={t('curves.scale')}
            value={scale}
            onChange={setScale}
            options={[
              { value: 'linear', label: t('curves.linear') },
              { value: 'log', label: t('curves.log') },
            ]}
          />
          <Segmented
            label={t('curves.axis')}
            value={axis}
            onChange={(a) => {
              setAxis(a)
              setRange(null)
            }}
            options={axes.map((a) => ({ value: a, label: t(`axis.${a}`) }))}
          />
        </div>
      </header>
      {keys.length === 0 ? (
        <p className="curves-empty">{empty}</p>
      ) : (
        <div className="chart-grid">
          {shown.map((k) => (
            <MetricChart
              key={k}
              name={k}
              sources={sources}
              version={version}
              view={view}
              group={group}
              wide={wide === k}
              onWide={() => setWide(wide === k ? null : k)}
            />
          ))}
        </div>
      )}
      {keys.length > shown.length || more ? (
        <div className="curves-more">
          <Button tone="quiet" onClick={() => setMore(!more)}>
            {more ? t('curves.fewer') : t('curves.more', { n: keys.length - shown.length })}
          </Button>
        </div>
      ) : null}
    </section>
  )
}

/** Whether an element can be seen: what cannot need not be drawn anew. */
function useVisible(ref: React.RefObject<HTMLElement | null>): boolean {
  const [visible, setVisible] = useState(true)
  useEffect(() => {
    const el = ref.current
    if (!el) return
    const o = new IntersectionObserver((e) => setVisible(e.at(-1)?.isIntersecting ?? true), { rootMargin: '200px' })
    o.observe(el)
    return () => o.disconnect()
  }, [ref])
  return visible
}

const SIDES = ['train', 'eval'] as const

/** What was computed of a series and holds for the points that are there already. */
interface Kept {
  smoother: Smoother
  plain: GrowingPicks
  smooth: GrowingPicks
}

const drawable = (v: number | null, positive: boolean) => (v !== null && positive && v <= 0 ? null : v)

/** The lines of one metric, as few points as the picture needs. */
function useLines(name: string, sources: readonly CurveSource[], version: unknown, view: View) {
  const { t, locale } = useI18n()
  const { axis, weight, logarithmic, trim, range } = view
  const [kept] = useState(() => new Map<object, Kept>())
  return useMemo(() => {
    void version // the series are growing objects; the version says that they grew
    const lines: ChartLine[] = []
    const drawn: Line[] = []
    let count = 0
    const positive = logarithmic && !isShare(name)
    for (const { label, run, color } of sources)
      for (const side of SIDES) {
        const s = run.series.get(`${side}/${name}`)
        if (!s || s.step.length === 0) continue
        count += s.known
        const n = s.step.length
        let own = kept.get(s)
        if (!own)
          kept.set(s, (own = { smoother: new Smoother(), plain: new GrowingPicks(), smooth: new GrowingPicks() }))
        const cut = (values: readonly (number | null)[], picks: GrowingPicks): Line => {
          const x = (i: number) => run.xOf(s, i, axis)
          if (range) return decimate(n, x, values, range, COLUMNS, positive)
          const at = picks.of(values, COLUMNS, positive)
          return { x: at.map(x), y: at.map((i) => drawable(values[i] ?? null, positive)) }
        }
        const sideLabel = t(side === 'train' ? 'side.train' : 'side.eval')
        const look = {
          label: color === null ? sideLabel : `${label} ${sideLabel}`,
          color: color ?? (side === 'train' ? '--chart-train' : '--chart-eval'),
          dashed: color !== null && side === 'eval',
        }
        if (weight > 0) {
          lines.push({ ...look, faint: true })
          drawn.push(cut(s.value, own.plain))
        }
        lines.push({ ...look, points: n < 40, value: (v) => formatMetric(name, v, locale) })
        drawn.push(cut(own.smoother.of(s.value, weight), own.smooth))
      }
    const limits = trim && !positive ? trimmed(drawn.map((d) => d.y)) : null
    return { lines, data: drawn.length ? align(drawn) : [[]], count, limits, positive }
  }, [sources, version, name, axis, weight, logarithmic, trim, range, locale, t, kept])
}

function MetricChart({
  name,
  sources,
  version,
  view,
  group,
  wide,
  onWide,
}: {
  name: string
  sources: readonly CurveSource[]
  version: unknown
  view: View
  group: string
  wide: boolean
  onWide: () => void
}) {
  const { t, locale } = useI18n()
  const cell = useRef<HTMLDivElement>(null)
  const visible = useVisible(cell)
  const [drawnVersion, setDrawnVersion] = useState(version)
  if (visible && drawnVersion !== version) setDrawnVersion(version)
  const { lines, data, count, limits, positive } = useLines(name, sources, visible ? version : drawnVersion, view)
  if (lines.length === 0) return null

  const title = name === 'loss' || name === 'accuracy' ? t(`metric.${name}`) : name.replaceAll('_', ' ')
  const alone = sources[0]?.color === null ? sources[0].run : null
  const fileName = `${group}-${name}`
  return (
    <div className={wide ? 'chart-cell wide' : 'chart-cell'} ref={cell}>
      <div className="chart-head">
        <h3>{title}</h3>
        {alone && (
          <span className="legend">
            {SIDES.filter((side) => alone.series.get(`${side}/${name}`)?.step.length).map((side) => (
              <span key={side}>
                <i style={{ background: side === 'train' ? 'var(--chart-train)' : 'var(--chart-eval)' }} />
                {t(side === 'train' ? 'side.train' : 'side.eval')}
                <b>{formatMetric(name, alone.last(`${side}/${name}`), locale)}</b>
              </span>
            ))}
          </span>
        )}
        <span className="chart-tools">
          <IconButton
            icon="image"
            label={t('curves.png', { name: title })}
            onClick={() => void savePicture(cell.current, title, `${fileName}.png`)}
          />
          <IconButton
            icon="table"
            label={t('curves.csv', { name: title })}
            onClick={() => saveText(curveTable(sources, name), `${fileName}.csv`, 'text/csv')}
          />
          <IconButton
            icon={wide ? 'shrink' : 'expand'}
            label={t(wide ? 'curves.narrow' : 'curves.wide', { name: title })}
            onClick={onWide}
          />
        </span>
      </div>
      <Chart
        title={name}
        lines={lines}
        data={data}
        count={count}
        group={group}
        height={wide ? 440 : 240}
        logarithmic={positive}
        range={view.range}
        onRange={view.setRange}
        limits={limits}
        share={isShare(name)}
        xLabel={xLabels(view.axis, locale)}
        yLabel={yLabels(name, locale)}
      />
    </div>
  )
}

function xLabels(axis: Axis, locale: string): (x: number) => string {
  if (axis === 'time') return formatDuration
  if (axis === 'wall') return (x) => formatClock(x).slice(0, 8)
  if (axis === 'epoch') return (x) => String(Number(x.toFixed(2)))
  return (x) => formatCompact(x, locale)
}

function yLabels(name: string, locale: string): (y: number) => string {
  if (isShare(name)) return (y) => `${Number((100 * y).toPrecision(4))}%`
  return (y) => {
    const a = Math.abs(y)
    if (a >= 10000) return formatCompact(y, locale)
    return a < 1e-3 && y !== 0 ? y.toExponential(0) : String(Number(y.toPrecision(3)))
  }
}

/** The chart as one sees it, with its title, on the page's own ground. */
async function savePicture(cell: HTMLElement | null, title: string, name: string): Promise<void> {
  const canvas = cell?.querySelector('canvas')
  const out = document.createElement('canvas')
  const c = out.getContext('2d')
  if (!canvas || !cell || !c) return
  const ratio = canvas.width / canvas.clientWidth || 1
  const head = Math.round(34 * ratio)
  out.width = canvas.width
  out.height = canvas.height + head
  const style = getComputedStyle(document.documentElement)
  c.fillStyle = style.getPropertyValue('--surface')
  c.fillRect(0, 0, out.width, out.height)
  c.fillStyle = style.getPropertyValue('--text')
  c.font = `600 ${Math.round(13 * ratio)}px system-ui, sans-serif`
  c.fillText(title, Math.round(14 * ratio), Math.round(22 * ratio))
  c.drawImage(canvas, 0, head)
  const blob = await new Promise<Blob | null>((resolve) => out.toBlob(resolve, 'image/png'))
  if (blob) saveBlob(blob, name)
}
