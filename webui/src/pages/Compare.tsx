/* Several runs side by side: their curves over one another, and in what they differ. */
import { useMemo, useState } from 'react'
import { Link, useSearchParams } from 'wouter'
import { useAlgorithmsOf, useJobsById } from '../api/hooks'
import { useManyMetrics, type ManyMetrics } from '../api/live'
import type { Job } from '../api/types'
import { useI18n, type MessageKey } from '../i18n'
import { compareSettings, settingsOf, type Row } from '../lib/differences'
import { formatDuration, formatMetric } from '../lib/format'
import { durationOf, metric } from '../lib/runtable'
import { MetricSeries } from '../lib/series'
import {
  Card,
  Empty,
  ErrorNote,
  IconButton,
  JobPill,
  LinkButton,
  Loading,
  PageHead,
  useNow,
  useTitle,
} from '../widgets/basic'
import { Curves, type CurveSource } from '../widgets/Curves'
import { Parallel, type Dimension } from '../widgets/Parallel'
import { Scatter } from '../widgets/Scatter'

const LINES = 8
const MOST = 40
const lineOf = (i: number) => `--line-${(i % LINES) + 1}`

export default function Compare() {
  const { t } = useI18n()
  useTitle(t('compare.title'))
  const [params, setParams] = useSearchParams()
  const asked = params.get('runs') ?? ''
  const ids = useMemo(
    () => [...new Set(asked.split(',').map(Number))].filter((n) => Number.isSafeInteger(n) && n > 0).slice(0, MOST),
    [asked],
  )
  const { jobs, pending, error } = useJobsById(ids)
  const head = <PageHead trail={[{ href: '/runs', label: t('nav.runs') }]} title={t('compare.title')} />
  if (ids.length === 0)
    return (
      <>
        {head}
        <Empty icon="compare" title={t('compare.empty')} action={<LinkButton href="/runs">{t('nav.runs')}</LinkButton>}>
          {t('compare.empty.text')}
        </Empty>
      </>
    )
  return (
    <>
      {head}
      <ErrorNote error={error} />
      {pending && jobs.length === 0 ? (
        <Loading rows={8} />
      ) : (
        <Together jobs={jobs} remove={(id) => setParams({ runs: ids.filter((x) => x !== id).join(',') })} />
      )}
    </>
  )
}

const labelOf = (job: Job) => `#${job.id}${job.name ? ` ${job.name}` : ''}`

function Together({ jobs, remove }: { jobs: Job[]; remove: (id: number) => void }) {
  const { t } = useI18n()
  const metrics = useManyMetrics(jobs.map((j) => j.id))
  const algorithms = useAlgorithmsOf(jobs)
  const [hidden, setHidden] = useState<ReadonlySet<number>>(new Set())
  const rows = useMemo(() => compareSettings(jobs.map((j, i) => settingsOf(j, algorithms[i]))), [jobs, algorithms])
  const sources = useMemo<CurveSource[]>(
    () =>
      jobs.flatMap((j, i) =>
        hidden.has(j.id)
          ? []
          : [{ label: labelOf(j), run: metrics.of.get(j.id) ?? new MetricSeries(), color: lineOf(i) }],
      ),
    [jobs, metrics.of, hidden],
  )
  const points = sources.reduce((n, s) => n + s.run.points, 0)
  const toggle = (id: number) =>
    setHidden((old) => {
      const next = new Set(old)
      if (!next.delete(id)) next.add(id)
      return next
    })
  return (
    <>
      <ul className="compare-runs" aria-label={t('compare.runs')}>
        {jobs.map((j, i) => (
          <li key={j.id} className={hidden.has(j.id) ? 'off' : undefined}>
            <label>
              <input type="checkbox" checked={!hidden.has(j.id)} onChange={() => toggle(j.id)} />
              <i style={{ background: `var(${lineOf(i)})` }} aria-hidden="true" />
              <span className="hidden">{t('compare.show', { id: j.id })}</span>
            </label>
            <Link href={`/runs/${j.id}`}>
              <span className="run-id">#{j.id}</span> {j.name || t('run.unnamed')}
            </Link>
            <IconButton icon="cross" label={t('compare.remove', { id: j.id })} onClick={() => remove(j.id)} />
          </li>
        ))}
      </ul>
      <Curves
        title={t('curves.title')}
        sources={sources}
        version={metrics.version}
        group="compare"
        points={points}
        complete
        empty={t('curves.waiting')}
      />
      <Differences jobs={jobs} rows={rows} metrics={metrics} />
      {jobs.length > 1 && <Spaces jobs={jobs} rows={rows} metrics={metrics} />}
    </>
  )
}

const RESULTS: readonly [string, MessageKey][] = [
  ['eval/accuracy', 'stat.evalaccuracy'],
  ['eval/loss', 'stat.evalloss'],
  ['train/loss', 'stat.trainloss'],
]
const resultOf = (job: Job, metrics: ManyMetrics, name: string) =>
  metrics.of.get(job.id)?.last(name) ?? metric(job, name)

function Differences({ jobs, rows, metrics }: { jobs: Job[]; rows: Row[]; metrics: ManyMetrics }) {
  const { t, locale } = useI18n()
  const [all, setAll] = useState(false)
  const now = useNow(5000)
  const shown = rows.filter((r) => all || r.differs)
  return (
    <Card
      title={t('compare.differences')}
      flush
      actions={
        <button type="button" className="toggle" aria-pressed={all} onClick={() => setAll(!all)}>
          {t('compare.all')}
        </button>
      }
    >
      <div className="scroll-x" tabIndex={0} role="region" aria-label={t('compare.differences')}>
        <table className="table plain compare-table">
          <thead>
            <tr>
              <th />
              {jobs.map((j, i) => (
                <th key={j.id}>
                  <i className="swatch" style={{ background: `var(${lineOf(i)})` }} aria-hidden="true" />
                  {labelOf(j)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            <tr>
              <th scope="row">{t('col.state')}</th>
              {jobs.map((j) => (
                <td key={j.id}>
                  <JobPill job={j} />
                </td>
              ))}
            </tr>
            {RESULTS.map(([name, label]) => {
              const values = jobs.map((j) => resultOf(j, metrics, name))
              const known = values.filter((v): v is number => v !== null)
              const best = name.endsWith('loss') ? Math.min(...known) : Math.max(...known)
              return (
                <tr key={name}>
                  <th scope="row">{t(label)}</th>
                  {values.map((v, i) => (
                    <td key={jobs[i]!.id} className={known.length > 1 && v === best ? 'best' : undefined}>
                      {formatMetric(name, v, locale)}
                    </td>
                  ))}
                </tr>
              )
            })}
            <tr>
              <th scope="row">{t('col.duration')}</th>
              {jobs.map((j) => {
                const d = durationOf(j, now)
                return <td key={j.id}>{d === null ? '–' : formatDuration(d)}</td>
              })}
            </tr>
            {shown.map((r) => (
              <tr key={r.key} className={r.differs ? 'differs' : undefined} data-setting={r.key}>
                <th scope="row">
                  <code>{r.key}</code>
                </th>
                {r.values.map((v, i) => (
                  <td key={jobs[i]!.id}>{v ?? <span className="faint">–</span>}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {!all && !rows.some((r) => r.differs) && <p className="card-text faint">{t('compare.same')}</p>}
    </Card>
  )
}

/** The runs as points among what they differ in and what came of it. */
function Spaces({ jobs, rows, metrics }: { jobs: Job[]; rows: Row[]; metrics: ManyMetrics }) {
  const { t, locale } = useI18n()
  const dimensions: Dimension[] = [
    ...rows
      .filter((r) => r.differs)
      .slice(0, 8)
      .map((r) => ({ label: r.key, values: r.values, format: null })),
    ...RESULTS.map(([name, label]) => ({
      label: t(label),
      values: jobs.map((j) => resultOf(j, metrics, name)),
      format: (v: number) => formatMetric(name, v, locale),
    })),
  ].filter((d) => d.values.some((v) => v !== null))
  const lines = jobs.map((j, i) => ({ label: labelOf(j), color: lineOf(i) }))
  if (dimensions.length < 2) return null
  return (
    <div className="compare-spaces">
      <Card title={t('compare.parallel')}>
        <Parallel label={t('compare.parallel')} dimensions={dimensions} lines={lines} />
      </Card>
      <Card title={t('compare.scatter')}>
        <Scatter label={t('compare.scatter')} dimensions={dimensions} points={lines} />
      </Card>
    </div>
  )
}
