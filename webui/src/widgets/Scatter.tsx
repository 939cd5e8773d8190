/* Runs as points: one chosen value across, another upwards. */
import { useState } from 'react'
import { useI18n } from '../i18n'
import { place } from '../lib/dimension'
import { SelectField } from './basic'
import type { Dimension, Mark } from './Parallel'

const W = 460
const H = 230

export function Scatter({
  label,
  dimensions,
  points,
}: {
  label: string
  dimensions: readonly Dimension[]
  points: readonly Mark[]
}) {
  const { t } = useI18n()
  const [across, setAcross] = useState('0')
  const [up, setUp] = useState('')
  const a = dimensions[Number(across)] ?? dimensions[0]!
  // Results come last; the first of them is what one usually asks about.
  const firstResult = dimensions.findIndex((d) => d.format !== null)
  const b = dimensions[up === '' ? Math.max(firstResult, 0) : Number(up)] ?? dimensions.at(-1)!
  const pa = place(a.values, a.format)
  const pb = place(b.values, b.format)
  const x = (v: number) => 64 + v * (W - 110)
  const y = (v: number) => 12 + (1 - v) * (H - 52)
  const options = dimensions.map((d, i) => ({ value: String(i), label: d.label }))
  return (
    <>
      <div className="columns scatter-choice">
        <SelectField label={t('compare.across')} value={across} onChange={setAcross} options={options} />
        <SelectField label={t('compare.up')} value={String(dimensions.indexOf(b))} onChange={setUp} options={options} />
      </div>
      <svg className="parallel scatter" viewBox={`0 0 ${W} ${H}`} role="img" aria-label={label}>
        <line x1={56} x2={W - 20} y1={H - 32} y2={H - 32} />
        <line x1={56} x2={56} y1={6} y2={H - 32} />
        {pa.ticks.map((tick, i) => (
          <text key={i} x={x(tick.at)} y={H - 14} textAnchor="middle">
            {tick.text}
          </text>
        ))}
        {pb.ticks.map((tick, i) => (
          <text key={i} x={50} y={y(tick.at) + 4} textAnchor="end">
            {tick.text}
          </text>
        ))}
        {points.map((p, i) =>
          pa.at[i] == null || pb.at[i] == null ? null : (
            <circle key={i} cx={x(pa.at[i])} cy={y(pb.at[i])} r={6} style={{ fill: `var(${p.color})` }}>
              <title>{p.label}</title>
            </circle>
          ),
        )}
      </svg>
    </>
  )
}
