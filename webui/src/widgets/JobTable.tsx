import { useEffect, useRef, useState } from 'react'
import { Link } from 'wouter'
import { useLossHistory } from '../api/hooks'
import { isFinal, type Job } from '../api/types'
import { useI18n } from '../i18n'
import { formatDuration, formatMetric } from '../lib/format'
import { Ago, JobPill, ProgressBar, useNow } from './basic'
import { Sparkline } from './Sparkline'

/** Runs as rows: what it is, how far it is, how its loss went. */
export function JobTable({ jobs, task }: { jobs: readonly Job[]; task?: string }) {
  const { t } = useI18n()
  const now = useNow(jobs.some((j) => !isFinal(j.state)) ? 1000 : 0)
  return (
    <div className="card flush">
      <table className="table runs-table">
        <thead>
          <tr>
            <th>{t('col.run')}</th>
            <th>{t('col.state')}</th>
            <th>{t('col.progress')}</th>
            <th>{t('col.loss')}</th>
            <th className="num">{t('col.accuracy')}</th>
            <th className="num">{t('col.duration')}</th>
            <th>{t('col.submitted')}</th>
          </tr>
        </thead>
        <tbody>
          {jobs.map((job) => (
            <Row key={job.id} job={job} now={now} showTask={!task} />
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Row({ job, now, showTask }: { job: Job; now: number; showTask: boolean }) {
  const { t, locale } = useI18n()
  const values = job.progress?.values ?? {}
  const accuracy = values['eval/accuracy'] ?? values['train/accuracy']
  const end = job.ended ? new Date(job.ended).getTime() : now
  return (
    <tr data-job={job.id}>
      <td className="main">
        <Link href={`/runs/${job.id}`} className="row-link">
          <span className="run-id">#{job.id}</span> {job.name || t('run.unnamed')}
        </Link>
        <p className="sub">
          {[showTask && job.task, job.model, job.dataset, job.algorithm].filter(Boolean).join(' · ')}
        </p>
      </td>
      <td>
        <JobPill job={job} />
        {job.state === 'PENDING' && job.reason && <p className="sub">{job.reason}</p>}
      </td>
      <td className="progress-cell">
        <RowProgress job={job} />
      </td>
      <td data-label={t('col.loss')}>
        <RowLoss job={job} />
      </td>
      <td className="num" data-label={t('col.accuracy')}>
        {accuracy === undefined ? <span className="faint">–</span> : formatMetric('accuracy', accuracy, locale)}
      </td>
      <td className="num" data-label={t('col.duration')}>
        {job.started ? (
          formatDuration((end - new Date(job.started).getTime()) / 1000)
        ) : (
          <span className="faint">–</span>
        )}
      </td>
      <td data-label={t('col.submitted')}>
        <Ago at={job.submitted} />
      </td>
    </tr>
  )
}

function RowProgress({ job }: { job: Job }) {
  const { t } = useI18n()
  const p = job.progress
  if (!p?.steps) return <span className="faint">–</span>
  const share = job.state === 'COMPLETED' ? 1 : p.step / p.steps
  const tone = job.state === 'COMPLETED' ? 'good' : isFinal(job.state) ? 'off' : 'run'
  return (
    <>
      <ProgressBar value={share} tone={tone} label={t('col.progress')} />
      <span className="sub">
        {Math.floor(share * 100)}%
        {!isFinal(job.state) &&
          p.seconds_left !== null &&
          ` · ${t('run.left', { time: formatDuration(p.seconds_left) })}`}
      </span>
    </>
  )
}

/** Asks for a run's history only once its row can be seen. */
function RowLoss({ job }: { job: Job }) {
  const { locale } = useI18n()
  const ref = useRef<HTMLSpanElement>(null)
  const [seen, setSeen] = useState(false)
  const history = useLossHistory(job, seen)
  useEffect(() => {
    const el = ref.current
    if (!el || seen) return
    const o = new IntersectionObserver((e) => {
      if (e.some((x) => x.isIntersecting)) setSeen(true)
    })
    o.observe(el)
    return () => o.disconnect()
  }, [seen])
  const last = job.progress?.values['train/loss'] ?? history.data?.at(-1)
  return (
    <span ref={ref} className="loss-cell">
      <Sparkline values={history.data ?? []} />
      {last !== undefined && <span>{formatMetric('loss', last, locale)}</span>}
    </span>
  )
}
