import { thin } from '../lib/series'

/** The shape of a series, without axes. Decoration: the number beside it says what matters. */
export function Sparkline({
  values,
  width = 96,
  height = 24,
}: {
  values: readonly number[]
  width?: number
  height?: number
}) {
  const v = thin(values, width)
  if (v.length < 2) return <span className="sparkline faint">–</span>
  const low = Math.min(...v)
  const span = Math.max(...v) - low || 1
  const points = v.map((y, i) => [
    (i * (width - 4)) / (v.length - 1) + 2,
    height - 3 - ((y - low) / span) * (height - 6),
  ])
  const d = points.map(([x, y], i) => `${i ? 'L' : 'M'}${x!.toFixed(1)} ${y!.toFixed(1)}`).join('')
  const [lx, ly] = points.at(-1)!
  return (
    <svg className="sparkline" width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      <path d={d} />
      <circle cx={lx} cy={ly} r="2" />
    </svg>
  )
}
