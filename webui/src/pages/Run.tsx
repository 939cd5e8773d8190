import { useEffect, useMemo, useState } from 'react'
import { Link, useLocation } from 'wouter'
import { artifactUrl, useArtifacts, useJob, useJobAction, useJobEvents } from '../api/hooks'
import { useLiveJob, useLiveLogs, useLiveMetrics, type LiveMetrics } from '../api/live'
import { isFinal, type Artifact, type Job } from '../api/types'
import { useI18n, type MessageKey } from '../i18n'
import {
  formatBytes,
  formatClock,
  formatCompact,
  formatCount,
  formatDuration,
  formatMetric,
  formatTime,
  isShare,
} from '../lib/format'
import { parseRef } from '../lib/names'
import { usePreference } from '../lib/preferences'
import { align, smooth, type Axis, type Line } from '../lib/series'
import {
  Ago,
  Button,
  Card,
  Confirm,
  Empty,
  ErrorNote,
  Facts,
  JobPill,
  Loading,
  PageHead,
  ProgressBar,
  Segmented,
  useNow,
  useTitle,
} from '../widgets/basic'
import { Chart, type ChartLine } from '../widgets/Chart'
import { Icon } from '../widgets/icons'
import { LogView } from '../widgets/LogView'

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
      {job.kind === 'train' && <Curves job={job} metrics={metrics} />}
      <div className="split even">
        <div className="run-log">
          <Card title={t('log.title')} flush>
            <LogView logs={logs} name={`run-${job.id}`} live={!isFinal(job.state)} />
          </Card>
        </div>
        <div className="stack">
          <Artifacts job={job} />
          <Timeline id={job.id} />
          <Configuration job={job} metrics={metrics} />
        </div>
      </div>
    </div>
  )
}

function Actions({ job }: { job: Job }) {
  const { t } = useI18n()
  const [, go] = useLocation()
  const act = useJobAction()
  const [asking, setAsking] = useState(false)
  const over = isFinal(job.state)
  // A run that ended by itself while the question stood needs no answer any more.
  useEffect(() => {
    // eslint-disable-next-line react-hooks/set-state-in-effect
    if (over) setAsking(false)
  }, [over])
  return (
    <>
      {!over && (
        <Button tone="danger" icon="stop" onClick={() => setAsking(true)}>
          {t('run.cancel')}
        </Button>
      )}
      {over && job.kind === 'train' && job.task && job.dataset && job.algorithm && job.model && (
        <Button
          icon="refresh"
          onClick={() =>
            go(
              `/tasks/${encodeURIComponent(job.task ?? '')}/run?${new URLSearchParams({
                dataset: job.dataset ?? '',
                algorithm: job.algorithm ?? '',
                model: job.model ?? '',
              }).toString()}`,
            )
          }
        >
          {t('run.again')}
        </Button>
      )}
      <Confirm
        open={asking}
        title={t('run.cancel.title', { id: job.id })}
        text={t('run.cancel.text')}
        action={t('run.cancel')}
        busy={act.isPending}
        error={act.error}
        onClose={() => {
          act.reset()
          setAsking(false)
        }}
        onConfirm={() => act.mutate({ id: job.id, action: 'cancel' }, { onSuccess: () => setAsking(false) })}
      />
    </>
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

/* --- curves --- */

const axes: readonly Axis[] = ['step', 'epoch', 'time']

function Curves({ job, metrics }: { job: Job; metrics: LiveMetrics }) {
  const { t } = useI18n()
  const [axis, setAxis] = usePreference('axis', axes, 'step')
  const [scale, setScale] = usePreference('scale', ['linear', 'log'] as const, 'linear')
  const [weight, setWeight] = useState(0)
  const [more, setMore] = useState(false)
  const keys = metrics.series.keys()
  const shown = more ? keys : keys.filter((k) => k === 'loss' || k === 'accuracy' || keys.length <= 2)

  return (
    <section
      className="card curves"
      aria-label={t('curves.title')}
      data-points={metrics.series.points}
      data-complete={metrics.complete}
    >
      <header className="card-head">
        <h2>{t('curves.title')}</h2>
        <div className="row wrap">
          <label className="slider">
            {t('curves.smoothing')}
            <input
              type="range"
              min={0}
              max={0.98}
              step={0.01}
              value={weight}
              aria-valuetext={weight.toFixed(2)}
              onChange={(e) => setWeight(Number(e.target.value))}
            />
            <output>{weight.toFixed(2)}</output>
          </label>
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
            onChange={setAxis}
            options={axes.map((a) => ({ value: a, label: t(`axis.${a}`) }))}
          />
        </div>
      </header>
      {keys.length === 0 ? (
        <p className="curves-empty">
          {!metrics.complete ? t('loading') : isFinal(job.state) ? t('curves.none') : t('curves.waiting')}
        </p>
      ) : (
        <div className="chart-grid">
          {shown.map((k) => (
            <MetricChart
              key={k}
              name={k}
              metrics={metrics}
              axis={axis}
              weight={weight}
              logarithmic={scale === 'log' && !isShare(k)}
              group={`run-${job.id}`}
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

function MetricChart({
  name,
  metrics,
  axis,
  weight,
  logarithmic,
  group,
}: {
  name: string
  metrics: LiveMetrics
  axis: Axis
  weight: number
  logarithmic: boolean
  group: string
}) {
  const { t, locale } = useI18n()
  const { series, version } = metrics
  const { lines, data } = useMemo(() => {
    void version // the series are one growing object; the version says that it grew
    const made: ChartLine[] = []
    const drawn: Line[] = []
    for (const [side, color] of [
      ['train', '--chart-train'],
      ['eval', '--chart-eval'],
    ] as const) {
      const s = series.series.get(`${side}/${name}`)
      if (!s || s.step.length === 0) continue
      const x = s.step.map((_, i) => series.xOf(s, i, axis))
      // A logarithmic axis has no place for zero and below.
      const y = logarithmic ? s.value.map((v) => (v !== null && v > 0 ? v : null)) : s.value
      const points = s.step.length < 40
      const value = (v: number | null) => formatMetric(name, v, locale)
      if (weight > 0) {
        made.push({ label: side, color, faint: true })
        drawn.push({ x, y })
      }
      made.push({ label: side, color, points, value })
      drawn.push({ x, y: smooth(y, weight) })
    }
    return { lines: made, data: drawn.length ? align(drawn) : [[]] }
  }, [series, version, name, axis, weight, logarithmic, locale])
  if (lines.length === 0) return null

  const compact = (v: number) => formatCompact(v, locale)
  return (
    <div className="chart-cell">
      <h3>
        {name === 'loss' || name === 'accuracy' ? t(`metric.${name}`) : name.replaceAll('_', ' ')}
        <span className="legend">
          {lines
            .filter((l) => l.value)
            .map((l) => (
              <span key={l.label}>
                <i style={{ background: `var(${l.color})` }} />
                {t(l.label === 'train' ? 'side.train' : 'side.eval')}
                <b>{formatMetric(name, series.last(`${l.label}/${name}`), locale)}</b>
              </span>
            ))}
        </span>
      </h3>
      <Chart
        title={name}
        lines={lines}
        data={data}
        group={group}
        logarithmic={logarithmic}
        xLabel={axis === 'time' ? formatDuration : axis === 'epoch' ? (v) => String(Number(v.toFixed(2))) : compact}
        yLabel={(v) =>
          Math.abs(v) >= 10000
            ? compact(v)
            : Math.abs(v) < 1e-3 && v !== 0
              ? v.toExponential(0)
              : String(Number(v.toPrecision(3)))
        }
      />
    </div>
  )
}

/* --- what it left and did --- */

const weightiness = (a: Artifact): number => (a.name.startsWith('weights') ? 0 : a.name === 'report.json' ? 1 : 2)

/** What one came for first; checkpoints are many and seldom wanted, so they are folded. */
function Artifacts({ job }: { job: Job }) {
  const { t } = useI18n()
  const artifacts = useArtifacts(job.id)
  const items = artifacts.data ?? []
  const checkpoints = items.filter((a) => a.name.startsWith('checkpoints/'))
  const files = items
    .filter((a) => !checkpoints.includes(a))
    .sort((a, b) => weightiness(a) - weightiness(b) || a.name.localeCompare(b.name))
  return (
    <Card title={t('artifacts.title')} flush>
      <ErrorNote error={artifacts.error} onRetry={() => void artifacts.refetch()} />
      {items.length === 0 && (
        <p className="card-text faint">{t(isFinal(job.state) ? 'artifacts.none' : 'artifacts.later')}</p>
      )}
      <ArtifactList id={job.id} items={files} />
      {checkpoints.length > 0 && (
        <details className="artifacts-more">
          <summary>{t('artifacts.checkpoints', { n: checkpoints.length })}</summary>
          <ArtifactList id={job.id} items={checkpoints} />
        </details>
      )}
    </Card>
  )
}

function ArtifactList({ id, items }: { id: number; items: readonly Artifact[] }) {
  const { locale } = useI18n()
  if (items.length === 0) return null
  return (
    <ul className="artifacts">
      {items.map((a) => (
        <li key={`${a.attempt} ${a.name}`}>
          <a href={artifactUrl(id, a.name)} download={a.name.split('/').at(-1)} data-artifact={a.name}>
            <Icon name="download" size={15} />
            <span className="grow">{a.name}</span>
            <span className="faint num">{formatBytes(a.size, locale)}</span>
          </a>
        </li>
      ))}
    </ul>
  )
}

function Timeline({ id }: { id: number }) {
  const { t, locale } = useI18n()
  const events = useJobEvents(id)
  return (
    <Card title={t('timeline.title')}>
      <ErrorNote error={events.error} onRetry={() => void events.refetch()} />
      {events.data && events.data.length === 0 && <p className="faint">{t('timeline.empty')}</p>}
      <ol className="timeline">
        {events.data?.map((e) => (
          <li key={e.seq}>
            <time dateTime={e.at} title={formatClock(Date.parse(e.at) / 1000)}>
              {formatTime(e.at, locale)}
            </time>
            <div>
              <b>{e.event.replaceAll('_', ' ')}</b>
              {e.to && e.to !== e.from && <span className="faint"> → {t(`state.${e.to}`)}</span>}
              {e.attempt > 1 && <span className="label">{t('run.attempt', { n: e.attempt })}</span>}
              <Detail detail={e.detail} />
            </div>
          </li>
        ))}
      </ol>
    </Card>
  )
}

function Detail({ detail }: { detail: Record<string, unknown> | null }) {
  const parts = Object.entries(detail ?? {}).filter(([, v]) => v !== null && v !== '')
  if (parts.length === 0) return null
  return (
    <p className="faint">
      {parts
        .map(([k, v]) => `${k.replaceAll('_', ' ')}: ${typeof v === 'object' ? JSON.stringify(v) : String(v)}`)
        .join(' · ')}
    </p>
  )
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
  return (
    <Card title={t('config.title')}>
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
