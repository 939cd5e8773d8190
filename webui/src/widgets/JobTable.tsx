import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useLayoutEffect, useMemo, useRef, useState, type ReactNode } from 'react'
import { Link, useSearchParams } from 'wouter'
import { useLossHistory } from '../api/hooks'
import { isFinal, type Job } from '../api/types'
import { useI18n, type MessageKey } from '../i18n'
import { formatDuration, formatMetric } from '../lib/format'
import {
  changesOf,
  DEFAULT_COLUMNS,
  durationOf,
  groupJobs,
  GROUPS,
  matches,
  metric,
  readTable,
  RUN_COLUMNS,
  sortJobs,
  writeTable,
  type RunColumn,
  type SortKey,
  type TableState,
} from '../lib/runtable'
import { Ago, Button, Empty, JobPill, LinkButton, ProgressBar, useNow } from './basic'
import { Icon } from './icons'
import { Menu } from './Menu'
import { Search } from './Search'
import { Sparkline } from './Sparkline'

const columnName = (c: RunColumn): MessageKey => `runs.col.${c}`
const NUMBERS: readonly SortKey[] = ['accuracy', 'duration', 'evalloss', 'ranks']

/** The table's state and how to change it; kept in the address, so that it can be sent to somebody. */
function useTable(): [TableState, (change: Partial<TableState>) => void] {
  const [params, setParams] = useSearchParams()
  const key = params.toString()
  const state = useMemo(() => readTable(new URLSearchParams(key)), [key])
  return [state, (change) => setParams((now) => writeTable(now, change), { replace: true })]
}

/** Runs as rows: what it is, how far it is, how its loss went. Searched, ordered, grouped, and chosen for comparison. */
export function JobTable({ jobs, task, tools }: { jobs: readonly Job[]; task?: string; tools?: ReactNode }) {
  const { t } = useI18n()
  const now = useNow(jobs.some((j) => !isFinal(j.state)) ? 1000 : 0)
  const [state, change] = useTable()
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set())
  const found = useMemo(() => jobs.filter((j) => matches(j, state.q)), [jobs, state.q])
  // The clock moves each second; only an order by duration has to follow it.
  const clock = state.sort === 'duration' ? now : 0
  const groups = useMemo(
    () => groupJobs(sortJobs(found, state.sort, state.descending, clock), state.group),
    [found, state.sort, state.descending, state.group, clock],
  )
  const columns = task ? state.columns.filter((c) => c !== 'task') : state.columns
  const toggle = (id: number, on: boolean) =>
    setChosen((old) => {
      const next = new Set(old)
      if (on) next.add(id)
      else next.delete(id)
      return next
    })
  const selected = found.filter((j) => chosen.has(j.id)).map((j) => j.id)

  return (
    <>
      <div className="toolbar">
        <Search label={t('runs.search')} value={state.q} onChange={(q) => change({ q })} />
        {tools}
        <span className="grow" />
        {selected.length > 0 && (
          <>
            <span className="faint" role="status">
              {t('runs.chosen', { n: selected.length })}
            </span>
            {selected.length > 1 && (
              <LinkButton href={`/compare?runs=${selected.join(',')}`} tone="primary" icon="compare">
                {t('runs.compare')}
              </LinkButton>
            )}
            <Button tone="quiet" onClick={() => setChosen(new Set())}>
              {t('runs.choosenone')}
            </Button>
          </>
        )}
        <Menu label={t('runs.group')} icon="layer">
          {GROUPS.filter((g) => !(task && g === 'task')).map((g) => (
            <label key={g} className="menu-choice">
              <input type="radio" name="group" checked={state.group === g} onChange={() => change({ group: g })} />
              {t(g === 'none' ? 'runs.group.none' : columnName(g))}
            </label>
          ))}
        </Menu>
        <Menu label={t('runs.columns')} icon="columns">
          {RUN_COLUMNS.filter((c) => !(task && c === 'task')).map((c) => (
            <label key={c} className="menu-choice">
              <input
                type="checkbox"
                checked={state.columns.includes(c)}
                onChange={(e) =>
                  change({
                    columns: RUN_COLUMNS.filter((x) => (x === c ? e.target.checked : state.columns.includes(x))),
                  })
                }
              />
              {t(columnName(c))}
            </label>
          ))}
          <Button tone="quiet" onClick={() => change({ columns: DEFAULT_COLUMNS })}>
            {t('runs.columns.usual')}
          </Button>
        </Menu>
      </div>
      {found.length === 0 ? (
        <Empty icon="search" title={t('runs.nomatch', { q: state.q })}>
          {t('runs.nomatch.text')}
        </Empty>
      ) : (
        groups.map((g) => (
          <section key={g.key} className="job-group" aria-label={g.key || undefined}>
            {state.group !== 'none' && (
              <h2>
                {(state.group === 'state' ? t(`state.${g.jobs[0]!.state}`) : g.key) || '–'}
                <span className="tab-count">{g.jobs.length}</span>
              </h2>
            )}
            <Rows
              jobs={g.jobs}
              columns={columns}
              state={state}
              change={change}
              now={now}
              showTask={!task}
              chosen={chosen}
              toggle={toggle}
            />
          </section>
        ))
      )}
    </>
  )
}

interface RowsProps {
  jobs: readonly Job[]
  columns: readonly RunColumn[]
  state: TableState
  change: (c: Partial<TableState>) => void
  now: number
  showTask: boolean
  chosen: ReadonlySet<number>
  toggle: (id: number, on: boolean) => void
}

/** Beyond this many, only the rows near the window exist. */
const FEW = 150

function Rows(props: RowsProps) {
  const { jobs, columns, state, change } = props
  const { t } = useI18n()
  const box = useRef<HTMLDivElement>(null)
  const [margin, setMargin] = useState(0)
  useLayoutEffect(() => setMargin(box.current?.offsetTop ?? 0), [jobs.length])
  // The virtualizer keeps its own state outside of React's rules; nothing here is memoised on it.
  const virtual = useWindowVirtualizer({
    count: jobs.length,
    estimateSize: () => 57,
    overscan: 12,
    scrollMargin: margin,
    enabled: jobs.length > FEW,
  })
  const items = jobs.length > FEW ? virtual.getVirtualItems() : null
  const before = items?.[0] ? items[0].start - margin : 0
  const after = items?.length ? virtual.getTotalSize() - (items.at(-1)!.end - margin) : 0
  const head = (key: SortKey, label: string) => (
    <th
      key={key}
      className={NUMBERS.includes(key) ? 'num' : undefined}
      aria-sort={state.sort === key ? (state.descending ? 'descending' : 'ascending') : undefined}
    >
      <button
        type="button"
        className="sort"
        onClick={() => change({ sort: key, descending: state.sort === key ? !state.descending : true })}
      >
        {label}
        {state.sort === key && (
          <span className={state.descending ? 'sort-mark' : 'sort-mark up'}>
            <Icon name="down" size={12} />
          </span>
        )}
      </button>
    </th>
  )
  return (
    <div className="card flush scroll-x" ref={box}>
      <table className="table runs-table">
        <thead>
          <tr>
            <th className="choose">
              <span className="hidden">{t('runs.choose')}</span>
            </th>
            {head('id', t('col.run'))}
            {columns.map((c) => head(c, t(columnName(c))))}
          </tr>
        </thead>
        <tbody>
          {before > 0 && (
            <tr aria-hidden="true" className="spacer">
              <td style={{ height: before }} colSpan={columns.length + 2} />
            </tr>
          )}
          {(items ? items.map((i) => jobs[i.index]!) : jobs).map((job, i) => (
            <Row key={job.id} job={job} index={items?.[i]?.index ?? i} measure={virtual.measureElement} {...props} />
          ))}
          {after > 0 && (
            <tr aria-hidden="true" className="spacer">
              <td style={{ height: after }} colSpan={columns.length + 2} />
            </tr>
          )}
        </tbody>
      </table>
    </div>
  )
}

function Row({
  job,
  index,
  measure,
  columns,
  now,
  showTask,
  chosen,
  toggle,
}: RowsProps & { job: Job; index: number; measure: (e: HTMLElement | null) => void }) {
  const { t } = useI18n()
  return (
    <tr data-job={job.id} data-index={index} ref={measure} aria-selected={chosen.has(job.id)}>
      <td className="choose">
        <input
          type="checkbox"
          aria-label={t('runs.choose.one', { id: job.id })}
          checked={chosen.has(job.id)}
          onChange={(e) => toggle(job.id, e.target.checked)}
        />
      </td>
      <td className="main">
        <Link href={`/runs/${job.id}`} className="row-link">
          <span className="run-id">#{job.id}</span> {job.name || t('run.unnamed')}
        </Link>
        <p className="sub">
          {[showTask && !columns.includes('task') && job.task, job.model, job.dataset, job.algorithm]
            .filter(Boolean)
            .join(' · ')}
        </p>
      </td>
      {columns.map((c) => (
        <Cell key={c} column={c} job={job} now={now} />
      ))}
    </tr>
  )
}

function Cell({ column, job, now }: { column: RunColumn; job: Job; now: number }) {
  const { t, locale } = useI18n()
  const none = <span className="faint">–</span>
  const number = (name: string, v: number | null) => (
    <td className="num" data-label={t(columnName(column))}>
      {v === null ? none : formatMetric(name, v, locale)}
    </td>
  )
  const word = (v: ReactNode) => <td data-label={t(columnName(column))}>{v || none}</td>
  switch (column) {
    case 'state':
      return (
        <td>
          <JobPill job={job} />
          {job.state === 'PENDING' && job.reason && <p className="sub">{job.reason}</p>}
        </td>
      )
    case 'progress':
      return (
        <td className="progress-cell">
          <RowProgress job={job} />
        </td>
      )
    case 'loss':
      return (
        <td data-label={t('col.loss')}>
          <RowLoss job={job} />
        </td>
      )
    case 'evalloss':
      return number('loss', metric(job, 'eval/loss'))
    case 'accuracy':
      return number('accuracy', metric(job, 'eval/accuracy') ?? metric(job, 'train/accuracy'))
    case 'duration': {
      const seconds = durationOf(job, now)
      return (
        <td className="num" data-label={t('col.duration')}>
          {seconds === null ? none : formatDuration(seconds)}
        </td>
      )
    }
    case 'submitted':
      return word(<Ago at={job.submitted} />)
    case 'changes':
      return word(changesOf(job) && <span className="changes">{changesOf(job)}</span>)
    case 'ranks':
      return (
        <td className="num" data-label={t('runs.col.ranks')}>
          {job.resources.ranks ?? none}
        </td>
      )
    case 'nodes':
      return word(job.nodes.join(', '))
    default:
      return word(job[column])
  }
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
export function RowLoss({ job }: { job: Job }) {
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
