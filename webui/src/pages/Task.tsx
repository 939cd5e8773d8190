import { useState } from 'react'
import { Link, useLocation, useSearchParams } from 'wouter'
import { useAssets, useDeleteTask, useJobs, useTask } from '../api/hooks'
import { useLiveTask } from '../api/live'
import type { ASSET_KINDS } from '../api/types'
import { type Asset, type AssetKinds, type Task as TaskRow } from '../api/types'
import { useI18n } from '../i18n'
import { formatBytes } from '../lib/format'
import { summaryLine } from '../lib/summary'
import {
  Ago,
  Button,
  CheckIcon,
  Confirm,
  Empty,
  ErrorNote,
  IconButton,
  LinkButton,
  Loading,
  PageHead,
  useTitle,
} from '../widgets/basic'
import { Icon, type IconName } from '../widgets/icons'
import { JobTable } from '../widgets/JobTable'

const tabs = ['runs', 'datasets', 'algorithms', 'models', 'layers'] as const
type Tab = (typeof tabs)[number]
const kindIcon: Record<AssetKinds, IconName> = {
  datasets: 'dataset',
  algorithms: 'algorithm',
  models: 'model',
  layers: 'layer',
}

/** On a narrow screen the row of tabs scrolls; the current one should be in it. */
const intoView = (e: HTMLElement | null) => e?.scrollIntoView({ block: 'nearest', inline: 'nearest' })

export default function Task({ name }: { name: string }) {
  const { t } = useI18n()
  useTitle(name)
  useLiveTask(name)
  const task = useTask(name)
  const [params, setParams] = useSearchParams()
  const [, go] = useLocation()
  const remove = useDeleteTask()
  const [removing, setRemoving] = useState(false)
  const tab: Tab = tabs.find((x) => x === params.get('tab')) ?? 'runs'
  const base = `/tasks/${encodeURIComponent(name)}`
  const trail = [{ href: '/tasks', label: t('nav.tasks') }]

  if (task.isPending) return <Loading />
  if (task.isError)
    return (
      <>
        <PageHead trail={trail} title={name} />
        <ErrorNote error={task.error} onRetry={() => void task.refetch()} />
      </>
    )

  const { counts } = task.data
  const ready = counts.datasets > 0 && counts.algorithms > 0 && counts.models > 0
  const countOf = (x: Tab) => (x === 'runs' ? counts.instances : counts[x])
  return (
    <>
      <PageHead
        trail={trail}
        title={name}
        note={
          <>
            <span className="label">{t(`type.${task.data.type}`)}</span>
            {task.data.labels.map((l) => (
              <span key={l} className="label">
                {l}
              </span>
            ))}
            {task.data.description && <span>{task.data.description}</span>}
          </>
        }
        actions={
          <>
            <IconButton icon="trash" label={t('task.delete')} onClick={() => setRemoving(true)} />
            {ready && (
              <LinkButton href={`${base}/run`} tone="primary" icon="play">
                {t('run.start')}
              </LinkButton>
            )}
          </>
        }
      />
      {!ready && <Steps task={task.data} />}
      <nav className="tabs" aria-label={t('task.parts')}>
        {tabs.map((x) => (
          <a
            key={x}
            ref={x === tab ? intoView : undefined}
            href={`${base}?tab=${x}`}
            aria-current={x === tab ? 'page' : undefined}
            onClick={(e) => {
              if (e.metaKey || e.ctrlKey || e.shiftKey) return
              e.preventDefault()
              setParams({ tab: x })
            }}
          >
            {t(`kind.${x}`)} <span className="tab-count">{countOf(x)}</span>
          </a>
        ))}
      </nav>
      {tab === 'runs' ? <TaskRuns task={name} ready={ready} /> : <TaskAssets key={tab} task={name} kind={tab} />}
      <Confirm
        open={removing}
        title={t('task.delete')}
        text={t('task.delete.text', { name })}
        action={t('task.delete')}
        busy={remove.isPending}
        error={remove.error}
        onClose={() => {
          remove.reset()
          setRemoving(false)
        }}
        onConfirm={() => remove.mutate(name, { onSuccess: () => go('/tasks') })}
      />
    </>
  )
}

/** What is still missing before something can be trained, in the order one does it. */
function Steps({ task }: { task: TaskRow }) {
  const { t } = useI18n()
  const kinds = ['datasets', 'models', 'algorithms'] as const
  return (
    <ol className="steps" aria-label={t('steps.title')}>
      {kinds.map((kind) => {
        const done = task.counts[kind] > 0
        return (
          <li key={kind} className={done ? 'done' : undefined}>
            <span className="step-icon">
              {done ? <CheckIcon status="passed" /> : <Icon name={kindIcon[kind]} size={18} />}
            </span>
            <div>
              <h2>{t(`step.${kind}`)}</h2>
              <p>{t(`step.${kind}.text`)}</p>
              {!done && (
                <Link href={`/tasks/${encodeURIComponent(task.name)}/${kind}/new`} className="button">
                  <Icon name="plus" />
                  {t(`add.${kind}`)}
                </Link>
              )}
            </div>
          </li>
        )
      })}
    </ol>
  )
}

function TaskRuns({ task, ready }: { task: string; ready: boolean }) {
  const { t } = useI18n()
  const jobs = useJobs({ task })
  const items = jobs.data?.pages.flatMap((p) => p.items) ?? []
  if (jobs.isPending) return <Loading />
  if (jobs.isError) return <ErrorNote error={jobs.error} onRetry={() => void jobs.refetch()} />
  if (items.length === 0)
    return (
      <Empty
        icon="runs"
        title={t('task.noruns')}
        action={
          ready && (
            <LinkButton href={`/tasks/${encodeURIComponent(task)}/run`} tone="primary" icon="play">
              {t('run.start')}
            </LinkButton>
          )
        }
      >
        {t(ready ? 'task.noruns.ready' : 'task.noruns.text')}
      </Empty>
    )
  return (
    <>
      <JobTable jobs={items} task={task} />
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

function TaskAssets({ task, kind }: { task: string; kind: (typeof ASSET_KINDS)[number] }) {
  const { t, locale } = useI18n()
  const assets = useAssets(task, kind)
  const add = (tone: 'primary' | 'plain') => (
    <LinkButton href={`/tasks/${encodeURIComponent(task)}/${kind}/new`} icon="plus" tone={tone}>
      {t(`add.${kind}`)}
    </LinkButton>
  )
  if (assets.isPending) return <Loading />
  if (assets.isError) return <ErrorNote error={assets.error} onRetry={() => void assets.refetch()} />
  if (assets.data.length === 0)
    return (
      <Empty icon={kindIcon[kind]} title={t(`none.${kind}`)} action={add('primary')}>
        {t(`none.${kind}.text`)}
      </Empty>
    )
  return (
    <>
      <div className="toolbar end">{add('plain')}</div>
      <div className="card flush">
        <table className="table">
          <thead>
            <tr>
              <th>{t('col.name')}</th>
              <th>{t('col.verification')}</th>
              <th>{t('col.summary')}</th>
              <th className="num">{t('col.size')}</th>
              <th>{t('col.created')}</th>
            </tr>
          </thead>
          <tbody>
            {assets.data.map((a) => (
              <tr key={a.name} data-asset={a.name}>
                <td className="main">
                  <Link
                    href={`/tasks/${encodeURIComponent(task)}/${kind}/${encodeURIComponent(a.name)}`}
                    className="row-link"
                  >
                    {a.name}
                  </Link>
                  <span className="version">v{a.version}</span>
                  {a.description && <p className="sub">{a.description}</p>}
                </td>
                <td data-label={t('col.verification')}>
                  <VerificationPill asset={a} />
                </td>
                <td data-label={t('col.summary')}>{summaryLine(a, locale) || <span className="faint">–</span>}</td>
                <td className="num" data-label={t('col.size')}>
                  {formatBytes(a.size, locale)}
                </td>
                <td data-label={t('col.created')}>
                  <Ago at={a.created} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  )
}

export function VerificationPill({ asset }: { asset: Asset }) {
  const { t } = useI18n()
  const v = asset.verification
  if (!v) return <span className="pill off">{t('verification.none')}</span>
  const warned = v.checks.filter((c) => c.status === 'warned').length
  return (
    <span className={`pill ${v.ok ? (warned ? 'wait' : 'good') : 'bad'}`} data-verification={v.ok ? 'ok' : 'failed'}>
      <Icon name={v.ok ? (warned ? 'warn' : 'check') : 'cross'} size={13} />
      {!v.ok ? t('verification.failed') : warned ? t('verification.warned', { n: warned }) : t('verification.passed')}
    </span>
  )
}
