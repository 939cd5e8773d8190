import { useSearchParams } from 'wouter'
import { useJobs } from '../api/hooks'
import { useI18n } from '../i18n'
import { Button, Empty, ErrorNote, LinkButton, Loading, PageHead, Segmented, useTitle } from '../widgets/basic'
import { JobTable } from '../widgets/JobTable'

const filters = ['all', 'PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'] as const
type Filter = (typeof filters)[number]

export default function Runs() {
  const { t } = useI18n()
  useTitle(t('nav.runs'))
  const [params, setParams] = useSearchParams()
  const filter: Filter = filters.find((f) => f === params.get('state')) ?? 'all'
  const jobs = useJobs(filter === 'all' ? {} : { state: filter })
  const items = jobs.data?.pages.flatMap((p) => p.items) ?? []

  return (
    <>
      <PageHead title={t('nav.runs')} note={t('runs.note')} />
      <div className="toolbar">
        <Segmented
          label={t('col.state')}
          value={filter}
          onChange={(v) => setParams(v === 'all' ? {} : { state: v })}
          options={filters.map((f) => ({ value: f, label: f === 'all' ? t('runs.all') : t(`state.${f}`) }))}
        />
      </div>
      <ErrorNote error={jobs.error} onRetry={() => void jobs.refetch()} />
      {jobs.isPending ? (
        <Loading />
      ) : items.length === 0 && !jobs.error ? (
        filter === 'all' ? (
          <Empty
            icon="runs"
            title={t('runs.empty')}
            action={<LinkButton href="/tasks">{t('runs.empty.action')}</LinkButton>}
          >
            {t('runs.empty.text')}
          </Empty>
        ) : (
          <Empty icon="search" title={t('runs.none')} />
        )
      ) : (
        <JobTable jobs={items} />
      )}
      {jobs.hasNextPage && (
        <div className="more">
          <Button busy={jobs.isFetchingNextPage} onClick={() => void jobs.fetchNextPage()}>
            {t('action.more')}
          </Button>
        </div>
      )}
    </>
  )
}
