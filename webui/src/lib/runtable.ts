/* The table of runs without its looks: columns, search, order, groups; all of it is in the address. */
import type { Job } from '../api/types'

export const RUN_COLUMNS = [
  'state',
  'progress',
  'loss',
  'evalloss',
  'accuracy',
  'duration',
  'submitted',
  'task',
  'owner',
  'model',
  'dataset',
  'algorithm',
  'changes',
  'ranks',
  'nodes',
] as const
export type RunColumn = (typeof RUN_COLUMNS)[number]
export type SortKey = RunColumn | 'id' | 'name'

export const DEFAULT_COLUMNS: readonly RunColumn[] = [
  'state',
  'progress',
  'loss',
  'accuracy',
  'changes',
  'duration',
  'submitted',
]
export const GROUPS = ['none', 'task', 'state', 'owner', 'model', 'dataset', 'algorithm'] as const
export type Group = (typeof GROUPS)[number]

export interface TableState {
  q: string
  columns: readonly RunColumn[]
  sort: SortKey
  descending: boolean
  group: Group
}

export function readTable(params: URLSearchParams): TableState {
  const asked = params.get('cols')?.split(',') ?? null
  const sort = params.get('sort') ?? '-id'
  const key = sort.replace(/^-/, '')
  return {
    q: params.get('q') ?? '',
    columns: asked ? RUN_COLUMNS.filter((c) => asked.includes(c)) : DEFAULT_COLUMNS,
    sort: [...RUN_COLUMNS, 'id', 'name'].includes(key) ? (key as SortKey) : 'id',
    descending: sort.startsWith('-'),
    group: GROUPS.find((g) => g === params.get('group')) ?? 'none',
  }
}

/** The address of a state: only what differs from the usual. Other members of the address stay. */
export function writeTable(params: URLSearchParams, change: Partial<TableState>): URLSearchParams {
  const state = { ...readTable(params), ...change }
  const out = new URLSearchParams(params)
  const put = (key: string, value: string, usual: string) => (value === usual ? out.delete(key) : out.set(key, value))
  put('q', state.q, '')
  put('cols', state.columns.join(','), DEFAULT_COLUMNS.join(','))
  put('sort', (state.descending ? '-' : '') + state.sort, '-id')
  put('group', state.group, 'none')
  return out
}

export const metric = (job: Job, name: string): number | null => job.progress?.values[name] ?? null

/** In seconds; of a run that goes on, until now. */
export function durationOf(job: Job, now: number): number | null {
  if (!job.started) return null
  return ((job.ended ? Date.parse(job.ended) : now) - Date.parse(job.started)) / 1000
}

export const changesOf = (job: Job): string =>
  Object.entries(job.overrides)
    .map(([k, v]) => `${k.split('/').at(-1)} ${typeof v === 'string' ? v : JSON.stringify(v)}`)
    .join(', ')

export function valueOf(job: Job, key: SortKey, now: number): string | number | null {
  switch (key) {
    case 'id':
      return job.id
    case 'name':
      return job.name
    case 'progress':
      return job.progress?.steps ? job.progress.step / job.progress.steps : null
    case 'loss':
      return metric(job, 'train/loss')
    case 'evalloss':
      return metric(job, 'eval/loss')
    case 'accuracy':
      return metric(job, 'eval/accuracy') ?? metric(job, 'train/accuracy')
    case 'duration':
      return durationOf(job, now)
    case 'changes':
      return changesOf(job)
    case 'ranks':
      return job.resources.ranks ?? null
    case 'nodes':
      return job.nodes.join(', ')
    default:
      return job[key]
  }
}

/** What has no value goes to the end in either order. */
export function sortJobs(jobs: readonly Job[], key: SortKey, descending: boolean, now: number): Job[] {
  const compare = new Intl.Collator(undefined, { numeric: true }).compare
  const keyed = jobs.map((job) => ({ job, v: valueOf(job, key, now) }))
  keyed.sort((a, b) => {
    const none = Number(a.v === null || a.v === '') - Number(b.v === null || b.v === '')
    if (none) return none
    const order =
      typeof a.v === 'number' && typeof b.v === 'number' ? a.v - b.v : compare(String(a.v ?? ''), String(b.v ?? ''))
    return (descending ? -order : order) || b.job.id - a.job.id
  })
  return keyed.map((k) => k.job)
}

const FIELDS = ['task', 'owner', 'model', 'dataset', 'algorithm', 'state', 'name', 'node'] as const

/** Words that must all be found somewhere; `task:digits` only in that field, `-word` must not be found. */
export function matches(job: Job, q: string): boolean {
  const text = (field: string): string =>
    field === 'node' ? job.nodes.join(' ') : String(job[field as Exclude<(typeof FIELDS)[number], 'node'>] ?? '')
  const everything = () => [`#${job.id}`, ...FIELDS.map(text), changesOf(job)].join(' ').toLowerCase()
  return q
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean)
    .every((word) => {
      const not = word.startsWith('-') && word.length > 1
      const plain = not ? word.slice(1) : word
      const [, field, value] = /^(\w+):(.+)$/.exec(plain) ?? []
      const known = FIELDS.find((f) => f === field)
      const found = known ? text(known).toLowerCase().includes(value!) : everything().includes(plain)
      return found !== not
    })
}

export function groupJobs(jobs: readonly Job[], group: Group): { key: string; jobs: Job[] }[] {
  if (group === 'none') return [{ key: '', jobs: [...jobs] }]
  const groups = new Map<string, Job[]>()
  for (const job of jobs) {
    const key = String(job[group] ?? '')
    const list = groups.get(key)
    if (list) list.push(job)
    else groups.set(key, [job])
  }
  return [...groups].map(([key, list]) => ({ key, jobs: list }))
}
