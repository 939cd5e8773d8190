import { memo } from 'react'
import { Link } from 'wouter'
import { useJobs } from '../../api/hooks'
import type { Job } from '../../api/types'
import { useI18n } from '../../i18n'
import { formatMetric } from '../../lib/format'
import { parseRef } from '../../lib/names'
import { Card, JobPill, LinkButton } from '../../widgets/basic'

const nameOf = (ref: string | null) => (ref ? parseRef(ref).name : null)

/** Runs that differ in something but share the model or the data: the ones it is compared with. */
export const Related = memo(function Related({ job }: { job: Job }) {
  const { t, locale } = useI18n()
  const jobs = useJobs(job.task ? { task: job.task } : {})
  const all = jobs.data?.pages.flatMap((p) => p.items) ?? []
  const related = all
    .filter(
      (j) =>
        j.id !== job.id &&
        j.kind === 'train' &&
        nameOf(j.dataset) === nameOf(job.dataset) &&
        nameOf(j.model) === nameOf(job.model),
    )
    .slice(0, 6)
  if (!job.task || related.length === 0) return null
  return (
    <Card
      title={t('run.related')}
      flush
      actions={
        <LinkButton
          href={`/compare?runs=${[job.id, ...related.map((j) => j.id)].join(',')}`}
          icon="compare"
          tone="quiet"
        >
          {t('run.related.compare')}
        </LinkButton>
      }
    >
      <ul className="related">
        {related.map((j) => (
          <li key={j.id}>
            <Link href={`/runs/${j.id}`} className="grow">
              <span className="run-id">#{j.id}</span> {j.name || t('run.unnamed')}
            </Link>
            <span className="num faint">
              {formatMetric('accuracy', j.progress?.values['eval/accuracy'] ?? null, locale)}
            </span>
            <JobPill job={j} />
          </li>
        ))}
      </ul>
    </Card>
  )
})
