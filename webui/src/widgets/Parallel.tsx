/* Parallel coordinates: an axis a setting or result, a line a run. */
import { useState } from 'react'
import { place, type Value } from '../lib/dimension'

export interface Dimension {
  label: string
  values: readonly Value[]
  format: ((v: number) => string) | null
}
export interface Mark {
  label: string
  /** name of a CSS variable */
  color: string
}

const STEP = 150
const HEIGHT = 230

export function Parallel({
  label,
  dimensions,
  lines,
}: {
  label: string
  dimensions: readonly Dimension[]
  lines: readonly Mark[]
}) {
  const [over, setOver] = useState<number | null>(null)
  const placed = dimensions.map((d) => place(d.values, d.format))
  const width = STEP * (dimensions.length - 1) + 160
  const x = (i: number) => 70 + i * STEP
  const y = (v: number) => 34 + (1 - v) * (HEIGHT - 54)
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label={label}>
      <svg className="parallel" width={width} height={HEIGHT} role="img" aria-label={label}>
        {lines.map((line, k) => {
          const points = placed.flatMap((p, i) => (p.at[k] == null ? [] : [`${x(i)},${y(p.at[k])}`]))
          return (
            <polyline
              key={k}
              points={points.join(' ')}
              style={{ stroke: `var(${line.color})` }}
              className={over === null ? undefined : over === k ? 'over' : 'other'}
              onPointerEnter={() => setOver(k)}
              onPointerLeave={() => setOver(null)}
            >
              <title>{line.label}</title>
            </polyline>
          )
        })}
        {placed.map((p, i) => (
          <g key={i}>
            <line x1={x(i)} x2={x(i)} y1={34} y2={HEIGHT - 20} />
            <text x={x(i)} y={16} textAnchor="middle" className="axis-name">
              {dimensions[i]!.label.split('/').slice(-2).join('/')}
            </text>
            {p.ticks.map((tick, n) => (
              <text key={n} x={x(i) + 6} y={y(tick.at) + 4}>
                {tick.text}
              </text>
            ))}
          </g>
        ))}
      </svg>
    </div>
  )
}
