import { useMemo } from 'react'
import { Link } from 'wouter'
import { useArtifacts, useJob } from '../api/hooks'
import { useLiveJob, useLiveLogs, useLiveMetrics, type LiveMetrics } from '../api/live'
import { isFinal, type Job } from '../api/types'
import { useI18n, type MessageKey } from '../i18n'
import { formatBytes, formatCompact, formatCount, formatDuration, formatMetric } from '../lib/format'
import { parseRef } from '../lib/names'
import { commandLine, requestOf } from '../lib/runlink'
import {
  Ago,
  Card,
  CopyButton,
  Empty,
  ErrorNote,
  Facts,
  JobPill,
  Loading,
  PageHead,
  ProgressBar,
  useNow,
  useTitle,
} from '../widgets/basic'
import { Curves, type CurveSource } from '../widgets/Curves'
import { Icon } from '../widgets/icons'
import { LogView } from '../widgets/LogView'
import { Actions } from './run/Actions'
import { Evaluation } from './run/Evaluation'
import { Related } from './run/Related'
import { Results } from './run/Results'
import { Timeline } from './run/Timeline'

export default function Run({ id }: { id: number }) {
  const { t } = useI18n()
  if (!Number.isSafeInteger(id) || id < 1)
    return (
      <Empty icon="help" title={t('missing.title')}>
        {t('missing.text')}
      </Empty>
    )
  return <KnownRun id={id} />
}

function KnownRun({ id }: { id: number }) {
  const { t } = useI18n()
  const job = useJob(id)
  if (job.isPending) return <Loading rows={8} />
  if (job.isError)
    return (
      <>
        <PageHead trail={[{ href: '/runs', label: t('nav.runs') }]} title={`#${id}`} />
        <ErrorNote error={job.error} onRetry={() => void job.refetch()} />
      </>
    )
  return <RunPage job={job.data} />
}

function RunPage({ job }: { job: Job }) {
  const { t } = useI18n()
  useLiveJob(job.id)
  const metrics = useLiveMetrics(job.id)
  const logs = useLiveLogs(job.id)
  const p = metrics.series.progress()
  useTitle(`${p && !isFinal(job.state) ? `${Math.floor((100 * p.step) / p.steps)}% · ` : ''}#${job.id} ${job.name}`)
  const trail = job.task
    ? [
        { href: '/tasks', label: t('nav.tasks') },
        { href: `/tasks/${encodeURIComponent(job.task)}`, label: job.task },
      ]
    : [{ href: '/runs', label: t('nav.runs') }]
  return (
    <div data-run={job.id} data-state={job.state}>
      <PageHead
        trail={trail}
        title={
          <>
            <span className="run-id">#{job.id}</span> {job.name || t('run.unnamed')} <JobPill job={job} />
          </>
        }
        actions={<Actions job={job} />}
      />
      {job.failure && <Failure job={job} />}
      <Summary job={job} metrics={metrics} />
      {job.kind === 'train' && <RunCurves job={job} metrics={metrics} />}
      <div className="split even">
        <div className="stack">
          <Card title={t('log.title')} flush>
            <LogView logs={logs} name={`run-${job.id}`} live={!isFinal(job.state)} />
          </Card>
          {job.kind === 'train' && <RunEvaluation job={job} />}
        </div>
        <div className="stack">
          <Results job={job} />
          <Timeline id={job.id} />
          <Configuration job={job} metrics={metrics} />
          <Related job={job} />
        </div>
      </div>
    </div>
  )
}

function Failure({ job }: { job: Job }) {
  const { t } = useI18n()
  const tail = job.failure?.tail
  const text = Array.isArray(tail) ? tail.join('\n') : (tail ?? '')
  return (
    <div className="note bad block" role="alert">
      <Icon name="warn" />
      <div>
        <p>
          <b>{job.failure?.message || t('run.failed')}</b>
          {job.exit_code !== null && ` ${t('run.exit', { code: job.exit_code })}`}
        </p>
        {text && (
          <pre tabIndex={0} aria-label={t('run.tail')}>
            {text}
          </pre>
        )}
      </div>
    </div>
  )
}

function Summary({ job, metrics }: { job: Job; metrics: LiveMetrics }) {
  const { t, locale } = useI18n()
  const over = isFinal(job.state)
  const now = useNow(over ? 0 : 1000)
  // The series are ahead of the job row while it runs.
  const live = metrics.series.progress()
  const p = live ?? (job.progress && { ...job.progress, secondsLeft: job.progress.seconds_left })
  const share = job.state === 'COMPLETED' ? 1 : p?.steps ? p.step / p.steps : 0
  const last = (name: string) => metrics.series.last(name) ?? job.progress?.values[name] ?? null
  const elapsed = job.started ? ((job.ended ? Date.parse(job.ended) : now) - Date.parse(job.started)) / 1000 : null
  const left = over ? null : (p?.secondsLeft ?? job.progress?.seconds_left ?? null)
  const epoch = p ? (Number.isInteger(p.epoch) ? p.epoch : p.epoch.toFixed(1)) : null
  const numbers: [MessageKey, string][] = [
    ['stat.trainloss', formatMetric('loss', last('train/loss'), locale)],
    ['stat.evalloss', formatMetric('loss', last('eval/loss'), locale)],
    ['stat.evalaccuracy', formatMetric('accuracy', last('eval/accuracy'), locale)],
    [
      'stat.speed',
      last('train/samples_per_second') === null
        ? '–'
        : t('stat.persecond', { n: formatCompact(last('train/samples_per_second') ?? 0, locale) }),
    ],
  ]
  return (
    <section className="summary" aria-label={t('run.summary')}>
      <div className="summary-progress">
        <p>
          <b>{Math.floor(share * 100)}%</b>
          <span className="grow">
            {job.state === 'PENDING'
              ? job.reason || t('run.waiting')
              : p?.steps
                ? t('run.step', {
                    step: formatCount(p.step, locale),
                    steps: formatCount(p.steps, locale),
                    epoch: epoch ?? 0,
                    epochs: p.epochs,
                  })
                : t(over ? `state.${job.state}` : 'run.preparing')}
          </span>
          <span>
            {elapsed !== null && formatDuration(elapsed)}
            {left !== null && p && p.step < p.steps && <> · {t('run.left', { time: formatDuration(left) })}</>}
          </span>
        </p>
        <ProgressBar
          value={share}
          label={t('col.progress')}
          tone={job.state === 'COMPLETED' ? 'good' : over ? 'off' : 'run'}
        />
      </div>
      {job.kind === 'train' && (
        <dl className="numbers">
          {numbers.map(([key, value]) => (
            <div key={key}>
              <dt>{t(key)}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
    </section>
  )
}

function RunCurves({ job, metrics }: { job: Job; metrics: LiveMetrics }) {
  const { t } = useI18n()
  const { series } = metrics
  const sources = useMemo<CurveSource[]>(() => [{ label: `#${job.id}`, run: series, color: null }], [job.id, series])
  return (
    <Curves
      title={t('curves.title')}
      sources={sources}
      version={metrics.version}
      group={`run-${job.id}`}
      points={series.points}
      complete={metrics.complete}
      empty={!metrics.complete ? t('loading') : isFinal(job.state) ? t('curves.none') : t('curves.waiting')}
    />
  )
}

function RunEvaluation({ job }: { job: Job }) {
  const artifacts = useArtifacts(job.id)
  return <Evaluation job={job} has={artifacts.data?.some((a) => a.name === 'report.json') ?? false} />
}

function Configuration({ job, metrics }: { job: Job; metrics: LiveMetrics }) {
  const { t, locale } = useI18n()
  const link = (kind: 'datasets' | 'algorithms' | 'models', ref: string | null) =>
    ref &&
    job.task && (
      <Link
        href={`/tasks/${encodeURIComponent(job.task)}/${kind}/${encodeURIComponent(parseRef(ref).name)}${ref.includes('@') ? `@${parseRef(ref).version}` : ''}`}
      >
        {ref}
      </Link>
    )
  const { info } = metrics.series
  const r = job.resources
  const overrides = Object.entries(job.overrides)
  const request = requestOf(job)
  return (
    <Card
      title={t('config.title')}
      actions={job.task && request && <CopyButton label={t('config.copy')} text={commandLine(job.task, request)} />}
    >
      <Facts
        items={[
          job.model ? [t('kind.model'), link('models', job.model)] : null,
          job.dataset ? [t('kind.dataset'), link('datasets', job.dataset)] : null,
          job.algorithm ? [t('kind.algorithm'), link('algorithms', job.algorithm)] : null,
          overrides.length > 0 && [
            t('config.overrides'),
            overrides.map(([k, v]) => (
              <code key={k} className="override">
                {k} = {JSON.stringify(v)}
              </code>
            )),
          ],
          [
            t('run.ranks'),
            [
              r.ranks,
              r.cores_per_rank && t('config.cores', { n: r.cores_per_rank }),
              r.gpus_per_rank ? t('nodes.gpus', { n: r.gpus_per_rank }) : null,
            ]
              .filter(Boolean)
              .join(' · '),
          ],
          r.memory_bytes ? [t('nodes.memory'), formatBytes(r.memory_bytes, locale)] : null,
          job.nodes.length > 0 && [t('nav.nodes'), job.nodes.join(', ')],
          info.parameters !== null && [t('fact.parameters'), formatCount(info.parameters, locale)],
          info.samples !== null && [t('fact.train'), formatCount(info.samples, locale)],
          info.backend !== null && [t('config.backend'), info.backend],
          job.time_limit_seconds ? [t('run.limit.short'), formatDuration(job.time_limit_seconds)] : null,
          job.attempt > 1 && [t('config.attempt'), job.attempt],
          [t('col.owner'), job.owner],
          [t('col.submitted'), <Ago key="s" at={job.submitted} />],
        ]}
      />
    </Card>
  )
}
