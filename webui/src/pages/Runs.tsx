import { useEffect, useRef } from 'react'
import { useSearchParams } from 'wouter'
import { useJobs } from '../api/hooks'
import { useI18n } from '../i18n'
import { Button, Empty, ErrorNote, LinkButton, Loading, PageHead, Segmented, useTitle } from '../widgets/basic'
import { JobTable } from '../widgets/JobTable'

const filters = ['all', 'PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'] as const
type Filter = (typeof filters)[number]

/** Asks for the next page when its end comes into view. */
function More({ busy, load }: { busy: boolean; load: () => void }) {
  const { t } = useI18n()
  const box = useRef<HTMLDivElement>(null)
  const now = useRef(load)
  useEffect(() => {
    now.current = load
  })
  useEffect(() => {
    const el = box.current
    if (!el || busy) return
    const o = new IntersectionObserver((e) => e.some((x) => x.isIntersecting) && now.current(), { rootMargin: '600px' })
    o.observe(el)
    return () => o.disconnect()
  }, [busy])
  return (
    <div className="more" ref={box}>
      <Button busy={busy} onClick={load}>
        {t('action.more')}
      </Button>
    </div>
  )
}

export default function Runs() {
  const { t } = useI18n()
  useTitle(t('nav.runs'))
  const [params, setParams] = useSearchParams()
  const filter: Filter = filters.find((f) => f === params.get('state')) ?? 'all'
  const jobs = useJobs(filter === 'all' ? {} : { state: filter })
  const items = jobs.data?.pages.flatMap((p) => p.items) ?? []
  const choose = (
    <Segmented
      label={t('col.state')}
      value={filter}
      onChange={(v) =>
        setParams((now) => {
          const next = new URLSearchParams(now)
          if (v === 'all') next.delete('state')
          else next.set('state', v)
          return next
        })
      }
      options={filters.map((f) => ({ value: f, label: f === 'all' ? t('runs.all') : t(`state.${f}`) }))}
    />
  )

  return (
    <>
      <PageHead title={t('nav.runs')} note={t('runs.note')} />
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
          <>
            <div className="toolbar">{choose}</div>
            <Empty icon="search" title={t('runs.none')} />
          </>
        )
      ) : (
        <JobTable jobs={items} tools={choose} />
      )}
      {jobs.hasNextPage && <More busy={jobs.isFetchingNextPage} load={() => void jobs.fetchNextPage()} />}
    </>
  )
}
