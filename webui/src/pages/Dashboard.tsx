/* What goes on: the cluster, what runs, what waits and why, what has ended. */
import { Link } from 'wouter'
import { useJobs, useNodes, useSession, useTasks } from '../api/hooks'
import { useLiveNodes } from '../api/live'
import type { ClusterNode, Job } from '../api/types'
import { useI18n } from '../i18n'
import { formatBytes, formatDuration, formatMetric } from '../lib/format'
import { metric } from '../lib/runtable'
import {
  Ago,
  Card,
  Empty,
  ErrorNote,
  JobPill,
  LinkButton,
  Loading,
  PageHead,
  ProgressBar,
  useTitle,
} from '../widgets/basic'
import { RowLoss } from '../widgets/JobTable'
import { Meter } from '../widgets/Meter'

const ACTIVE = 'STARTING,RUNNING,COMPLETING'

export default function Dashboard() {
  const { t } = useI18n()
  useTitle(t('nav.home'))
  useLiveNodes()
  const session = useSession()
  const nodes = useNodes()
  const active = useJobs({ state: ACTIVE })
  const waiting = useJobs({ state: 'PENDING' })
  const all = useJobs({})
  const tasks = useTasks('')
  const me = session.data?.user.name
  const rows = (q: typeof all) => q.data?.pages.flatMap((p) => p.items) ?? []
  const ended = rows(all)
    .filter((j) => j.ended)
    .slice(0, 8)
  // One's own first: they are why one came.
  const mineFirst = (jobs: Job[]) => [...jobs].sort((a, b) => Number(b.owner === me) - Number(a.owner === me))
  const nothing = all.data && rows(all).length === 0

  return (
    <>
      <PageHead title={t('nav.home')} note={t('home.note')} />
      <ErrorNote error={nodes.error ?? all.error} />
      {nodes.isPending || all.isPending ? (
        <Loading rows={6} />
      ) : (
        <div className="home">
          <div className="stack">
            <Running jobs={mineFirst(rows(active))} />
            {rows(waiting).length > 0 && <Waiting jobs={rows(waiting)} />}
            {nothing ? (
              <Empty
                icon="runs"
                title={t('home.first')}
                action={
                  <LinkButton
                    href={tasks.data?.pages[0]?.items[0] ? '/tasks' : '/tasks?new=1'}
                    tone="primary"
                    icon="plus"
                  >
                    {t(tasks.data?.pages[0]?.items[0] ? 'runs.empty.action' : 'tasks.new')}
                  </LinkButton>
                }
              >
                {t('tasks.empty.text')}
              </Empty>
            ) : (
              <Recent jobs={ended} />
            )}
          </div>
          <Cluster nodes={nodes.data ?? []} />
        </div>
      )}
    </>
  )
}

function Running({ jobs }: { jobs: Job[] }) {
  const { t } = useI18n()
  return (
    <Card title={t('home.running')} flush>
      {jobs.length === 0 && <p className="card-text faint">{t('home.idle')}</p>}
      <ul className="home-jobs">
        {jobs.map((j) => {
          const p = j.progress
          const share = p?.steps ? p.step / p.steps : 0
          return (
            <li key={j.id} data-job={j.id}>
              <Link href={`/runs/${j.id}`} className="row-link">
                <span className="run-id">#{j.id}</span> {j.name || t('run.unnamed')}
                <span className="sub"> {[j.task, j.owner].filter(Boolean).join(' · ')}</span>
              </Link>
              <RowLoss job={j} />
              <div className="home-progress">
                <ProgressBar value={share} label={t('col.progress')} />
                <span className="sub">
                  {Math.floor(share * 100)}%
                  {p?.seconds_left != null && ` · ${t('run.left', { time: formatDuration(p.seconds_left) })}`}
                </span>
              </div>
              <JobPill job={j} />
            </li>
          )
        })}
      </ul>
    </Card>
  )
}

function Waiting({ jobs }: { jobs: Job[] }) {
  const { t } = useI18n()
  // The list is newest first; the queue goes from the front: higher priority, then earlier.
  const queue = [...jobs].sort((a, b) => Number(a.held) - Number(b.held) || b.priority - a.priority || a.id - b.id)
  return (
    <Card
      title={t('home.waiting')}
      flush
      actions={
        <LinkButton href="/runs?state=PENDING" tone="quiet">
          {t('home.all')}
        </LinkButton>
      }
    >
      <ol className="home-jobs">
        {queue.slice(0, 8).map((j, i) => (
          <li key={j.id}>
            <span className="queue-place num">{j.held ? '–' : i + 1}</span>
            <Link href={`/runs/${j.id}`} className="row-link">
              <span className="run-id">#{j.id}</span> {j.name || t('run.unnamed')}
              <span className="sub"> {j.reason || t('run.waiting')}</span>
            </Link>
            <span className="sub">
              <Ago at={j.submitted} />
            </span>
            <JobPill job={j} />
          </li>
        ))}
      </ol>
    </Card>
  )
}

function Recent({ jobs }: { jobs: Job[] }) {
  const { t, locale } = useI18n()
  if (jobs.length === 0) return null
  return (
    <Card
      title={t('home.recent')}
      flush
      actions={
        <LinkButton href="/runs" tone="quiet">
          {t('home.all')}
        </LinkButton>
      }
    >
      <ul className="home-jobs">
        {jobs.map((j) => (
          <li key={j.id}>
            <Link href={`/runs/${j.id}`} className="row-link">
              <span className="run-id">#{j.id}</span> {j.name || t('run.unnamed')}
              <span className="sub"> {j.failure?.message ?? [j.task, j.model].filter(Boolean).join(' · ')}</span>
            </Link>
            <span className="num">{formatMetric('accuracy', metric(j, 'eval/accuracy'), locale)}</span>
            <span className="sub">
              <Ago at={j.ended} />
            </span>
            <JobPill job={j} />
          </li>
        ))}
      </ul>
    </Card>
  )
}

function Cluster({ nodes }: { nodes: ClusterNode[] }) {
  const { t, locale } = useI18n()
  const up = nodes.filter((n) => n.state === 'up')
  const sum = (f: (n: ClusterNode) => number) => up.reduce((a, n) => a + f(n), 0)
  const cores = sum((n) => n.cores)
  const memory = sum((n) => n.memory_bytes)
  const gpus = sum((n) => n.gpus.length)
  return (
    <Card
      title={t('home.cluster')}
      actions={
        <LinkButton href="/nodes" tone="quiet">
          {t('home.nodes', { up: up.length, n: nodes.length })}
        </LinkButton>
      }
    >
      {nodes.length === 0 ? (
        <p className="faint">{t('nodes.empty.text')}</p>
      ) : (
        <>
          <Meter
            label={t('nodes.cores')}
            used={sum((n) => n.cores_used)}
            total={cores}
            text={`${sum((n) => n.cores_used)} / ${cores}`}
          />
          <Meter
            label={t('nodes.memory')}
            used={sum((n) => n.memory_used_bytes)}
            total={memory}
            text={`${formatBytes(
              sum((n) => n.memory_used_bytes),
              locale,
            )} / ${formatBytes(memory, locale)}`}
          />
          <p className="node-foot">
            {gpus ? t('nodes.gpus', { n: gpus }) : t('nodes.nogpu')} ·{' '}
            {t('nodes.load', { load: sum((n) => n.load).toFixed(2) })}
          </p>
          {nodes.length > 1 && (
            <ul className="home-nodes">
              {nodes.slice(0, 12).map((n) => (
                <li key={n.name}>
                  <span className="grow">{n.name}</span>
                  <span className={n.state === 'up' ? 'faint' : 'field-error'}>
                    {n.state === 'up' ? `${n.cores_used} / ${n.cores}` : t(`node.${n.state}`)}
                  </span>
                </li>
              ))}
            </ul>
          )}
        </>
      )}
    </Card>
  )
}
