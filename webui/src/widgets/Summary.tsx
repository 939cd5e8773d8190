/* What a verification found out about an asset, for people: numbers, the structure of a model, the learning rate of an
 * algorithm. The summary is the trainer's own; every member may be absent. */
import { lazy, Suspense, useMemo } from 'react'
import type { AssetKind, ModelGraph } from '../api/types'
import { useI18n } from '../i18n'
import { formatBytes, formatCompact, formatCount, formatValue } from '../lib/format'
import { curveOf, datasetInfo, graphOf, list, num, sampleCounts, text, type Summary } from '../lib/summary'
import { Card, Facts, Loading } from './basic'
import { Chart } from './Chart'

const ModelGraphView = lazy(() => import('./ModelGraph'))

type Fact = readonly [string, string] | false

export function useFacts(kind: AssetKind, summary: Summary): Fact[] {
  const { t, locale } = useI18n()
  const count = (key: string, n: number | null): Fact => n !== null && [key, formatCount(n, locale)]
  const bytes = (key: string, n: number | null): Fact => n !== null && [key, formatBytes(n, locale)]
  const word = (key: string, s: string | null): Fact => s !== null && [key, s.replaceAll('_', ' ')]
  if (kind === 'dataset') {
    const info = datasetInfo(summary)
    const { train, test } = sampleCounts(info)
    const shape = list(info, 'feature_shape')
    const classes = num(info, 'classes')
    return [
      word(t('fact.format'), text(info, 'format')),
      count(t('fact.train'), train),
      count(t('fact.test'), test),
      shape.length > 0 && [t('fact.shape'), shape.join(' × ')],
      Boolean(classes) && count(t('fact.classes'), classes),
      word(t('fact.target'), text(info, 'target_name')),
    ]
  }
  if (kind === 'algorithm') {
    const rate = num(summary, 'learning_rate')
    return [
      word(t('fact.loss'), text(summary, 'loss')),
      word(t('fact.optimizer'), text(summary, 'optimizer')),
      rate !== null && [t('run.rate'), formatValue(rate, locale)],
      word(t('fact.schedule'), text(summary, 'schedule')),
      count(t('run.batch'), num(summary, 'batch_size')),
      count(t('run.epochs'), num(summary, 'epochs')),
    ]
  }
  const cost: Summary = kind === 'layer' ? ((summary.graph ?? {}) as Summary) : summary
  const flops = num(cost, 'flops')
  return [
    count(t('fact.parameters'), num(cost, 'parameters')),
    flops !== null && [t('fact.flops'), formatCompact(flops, locale)],
    bytes(t('fact.weights'), num(cost, 'weight_bytes')),
    bytes(t('fact.activations'), num(cost, 'activation_bytes')),
  ]
}

export function SummaryFacts({ kind, summary }: { kind: AssetKind; summary: Summary }) {
  const facts = useFacts(kind, summary)
  return facts.some(Boolean) ? <Facts items={facts} /> : null
}

export function GraphCard({ graph }: { graph: ModelGraph }) {
  const { t } = useI18n()
  return (
    <Card title={t('model.graph')} flush>
      <div className="graph-box">
        <Suspense fallback={<Loading />}>
          <ModelGraphView graph={graph} label={t('model.graph')} />
        </Suspense>
      </div>
    </Card>
  )
}

export function RateCard({ summary }: { summary: Summary }) {
  const { t, locale } = useI18n()
  const curve = useMemo(() => curveOf(summary), [summary])
  const lines = useMemo(
    () => [{ label: t('run.rate'), color: '--chart-train', value: (v: number | null) => formatValue(v, locale) }],
    [t, locale],
  )
  if (!curve) return null
  return (
    <Card title={t('algorithm.curve')}>
      <Chart
        title="learning_rate"
        lines={lines}
        data={[curve.epochs, curve.rates]}
        group="learning-rate"
        logarithmic={false}
        height={200}
        xLabel={(x) => String(Number(x.toFixed(2)))}
        yLabel={(y) => (y === 0 ? '0' : String(Number(y.toPrecision(3))))}
      />
      <p className="faint">{t('algorithm.curve.axis')}</p>
    </Card>
  )
}

/** The pictures that a summary allows: structure of a model or layer, learning rate of an algorithm. */
export function SummaryPictures({ kind, summary }: { kind: AssetKind; summary: Summary }) {
  const graph = useMemo(() => graphOf(summary), [summary])
  if (kind === 'algorithm') return <RateCard summary={summary} />
  if ((kind === 'model' || kind === 'layer') && graph) return <GraphCard graph={graph} />
  return null
}
