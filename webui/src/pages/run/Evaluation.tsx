/* What the model can do at the end: by epoch, and which classes it takes for which. */
import { useReport } from '../../api/hooks'
import { isFinal, type Job } from '../../api/types'
import { useI18n } from '../../i18n'
import { formatCount, formatDuration, formatMetric, formatValue } from '../../lib/format'
import { classScores, worstPairs, type Confusion, type EpochRow } from '../../lib/report'
import { Card, ErrorNote } from '../../widgets/basic'

/** More classes than these are no longer a picture; the worst pairs still say what goes wrong. */
const MOST_SHOWN = 40

export function Evaluation({ job, has }: { job: Job; has: boolean }) {
  const { t } = useI18n()
  const report = useReport(job.id, has)
  if (!has || !report.data) {
    if (report.error) return <ErrorNote error={report.error} onRetry={() => void report.refetch()} />
    if (isFinal(job.state)) return null
    return (
      <Card title={t('eval.title')}>
        <p className="faint">{t('eval.later')}</p>
      </Card>
    )
  }
  const { epochs, confusion } = report.data
  if (!epochs.length && !confusion) return null
  return (
    <>
      {confusion && <ConfusionCard confusion={confusion} />}
      {epochs.length > 0 && <Epochs rows={epochs} />}
    </>
  )
}

function ConfusionCard({ confusion }: { confusion: Confusion }) {
  const { t, locale } = useI18n()
  const scores = classScores(confusion)
  const total = scores.reduce((n, s) => n + s.total, 0)
  const pairs = worstPairs(confusion, 6)
  const { labels, rows } = confusion
  const percent = (v: number | null) => (v === null ? '–' : formatMetric('accuracy', v, locale))
  return (
    <Card title={t('eval.confusion')}>
      <p className="faint eval-note">
        {t(confusion.of === 'test' ? 'eval.confusion.test' : 'eval.confusion.train', {
          n: formatCount(total, locale),
        })}
      </p>
      <div className="eval-grid">
        {rows.length <= MOST_SHOWN && (
          <div className="scroll-x" tabIndex={0} role="region" aria-label={t('eval.confusion')}>
            <table className="confusion">
              <thead>
                <tr>
                  <th scope="col">{t('eval.truth')}</th>
                  {labels.map((l, i) => (
                    <th key={i} scope="col">
                      {l}
                    </th>
                  ))}
                  <th scope="col" className="score">
                    {t('eval.recall')}
                  </th>
                </tr>
              </thead>
              <tbody>
                {rows.map((row, i) => (
                  <tr key={i}>
                    <th scope="row">{labels[i]}</th>
                    {row.map((n, k) => (
                      <td
                        key={k}
                        className={n === 0 ? 'zero' : i === k ? 'right' : 'wrong'}
                        style={shade(n, scores[i]!.total)}
                        title={t('eval.cell', { n, truth: labels[i]!, said: labels[k]! })}
                      >
                        {n || '·'}
                      </td>
                    ))}
                    <td className="score">{percent(scores[i]!.recall)}</td>
                  </tr>
                ))}
                <tr>
                  <th scope="row">{t('eval.precision')}</th>
                  {scores.map((s, i) => (
                    <td key={i} className="score slim">
                      {s.precision === null ? '–' : `${(100 * s.precision).toFixed(1)}`}
                    </td>
                  ))}
                  <td />
                </tr>
              </tbody>
            </table>
          </div>
        )}
        {pairs.length > 0 && (
          <div>
            <h3>{t('eval.worst')}</h3>
            <ol className="pairs">
              {pairs.map((p) => (
                <li key={`${p.truth} ${p.said}`}>
                  <span className="grow">{t('eval.pair', { truth: labels[p.truth]!, said: labels[p.said]! })}</span>
                  <b className="num">{formatCount(p.count, locale)}</b>
                </li>
              ))}
            </ol>
          </div>
        )}
      </div>
    </Card>
  )
}

/** The square root lets few confusions be seen beside many right answers; the text stays dark on light and light on dark. */
function shade(n: number, total: number): React.CSSProperties | undefined {
  if (n === 0 || total === 0) return undefined
  return { '--share': `${Math.round(6 + 44 * Math.sqrt(n / total))}%` } as React.CSSProperties
}

function Epochs({ rows }: { rows: readonly EpochRow[] }) {
  const { t, locale } = useI18n()
  const has = (side: 'train' | 'eval', key: string) => rows.some((r) => key in r[side])
  const columns = [
    { label: t('eval.trainloss'), show: has('train', 'loss'), of: (r: EpochRow) => value('loss', r.train.loss) },
    { label: t('eval.testloss'), show: has('eval', 'loss'), of: (r: EpochRow) => value('loss', r.eval.loss) },
    {
      label: t('eval.trainaccuracy'),
      show: has('train', 'accuracy'),
      of: (r: EpochRow) => value('accuracy', r.train.accuracy),
    },
    {
      label: t('eval.testaccuracy'),
      show: has('eval', 'accuracy'),
      of: (r: EpochRow) => value('accuracy', r.eval.accuracy),
    },
    {
      label: t('run.rate'),
      show: rows.some((r) => r.learningRate !== null),
      of: (r: EpochRow) => formatValue(r.learningRate, locale),
    },
    {
      label: t('col.duration'),
      show: rows.some((r) => r.seconds !== null),
      of: (r: EpochRow) => (r.seconds === null ? '–' : formatDuration(r.seconds)),
    },
  ].filter((c) => c.show)
  function value(name: string, v: number | undefined) {
    return formatMetric(name, v, locale)
  }
  return (
    <Card title={t('eval.epochs')} flush>
      <div className="scroll-x epochs" tabIndex={0} role="region" aria-label={t('eval.epochs')}>
        <table className="table plain">
          <thead>
            <tr>
              <th>{t('axis.epoch')}</th>
              {columns.map((c) => (
                <th key={c.label} className="num">
                  {c.label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((r) => (
              <tr key={r.epoch}>
                <td>{r.epoch}</td>
                {columns.map((c) => (
                  <td key={c.label} className="num">
                    {c.of(r)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  )
}
