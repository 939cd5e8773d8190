import { useState } from 'react'
import { Link, useLocation, useSearchParams } from 'wouter'
import { useCreateTask, useTasks } from '../api/hooks'
import { TASK_TYPES, type Task, type TaskType } from '../api/types'
import { useI18n } from '../i18n'
import { newKey } from '../lib/key'
import { NAME_PATTERN } from '../lib/names'
import {
  Ago,
  Button,
  Dialog,
  Empty,
  ErrorNote,
  Loading,
  PageHead,
  SelectField,
  TextField,
  useDebounced,
  useTitle,
} from '../widgets/basic'
import { Icon } from '../widgets/icons'
import { Search } from '../widgets/Search'

export default function Tasks() {
  const { t } = useI18n()
  useTitle(t('nav.tasks'))
  const [params, setParams] = useSearchParams()
  const q = params.get('q') ?? ''
  const tasks = useTasks(useDebounced(q, 200))
  // ?new=1 opens the form: the palette and the dashboard lead there.
  const [creating, setCreating] = useState(params.has('new'))
  const items = tasks.data?.pages.flatMap((p) => p.items) ?? []
  const create = (
    <Button tone="primary" icon="plus" onClick={() => setCreating(true)}>
      {t('tasks.new')}
    </Button>
  )

  return (
    <>
      <PageHead title={t('nav.tasks')} note={t('tasks.note')} actions={create} />
      <div className="toolbar">
        <Search label={t('tasks.search')} value={q} onChange={(v) => setParams(v ? { q: v } : {}, { replace: true })} />
      </div>
      <ErrorNote error={tasks.error} onRetry={() => void tasks.refetch()} />
      {tasks.isPending ? (
        <Loading />
      ) : items.length === 0 && !tasks.error ? (
        q ? (
          <Empty icon="search" title={t('tasks.none', { q })}>
            {t('tasks.none.text')}
          </Empty>
        ) : (
          <Empty icon="tasks" title={t('tasks.empty')} action={create}>
            {t('tasks.empty.text')}
          </Empty>
        )
      ) : (
        <TaskTable items={items} />
      )}
      {tasks.hasNextPage && (
        <div className="more">
          <Button busy={tasks.isFetchingNextPage} onClick={() => void tasks.fetchNextPage()}>
            {t('action.more')}
          </Button>
        </div>
      )}
      <Dialog title={t('tasks.new')} open={creating} onClose={() => setCreating(false)}>
        <CreateForm onClose={() => setCreating(false)} />
      </Dialog>
    </>
  )
}

function TaskTable({ items }: { items: readonly Task[] }) {
  const { t } = useI18n()
  return (
    <div className="card flush">
      <table className="table tasks-table">
        <thead>
          <tr>
            <th>{t('col.name')}</th>
            <th>{t('col.type')}</th>
            <th>{t('col.assets')}</th>
            <th className="num">{t('col.runs')}</th>
            <th>{t('col.owner')}</th>
            <th>{t('col.updated')}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((task) => (
            <tr key={task.name}>
              <td className="main">
                <Link href={`/tasks/${encodeURIComponent(task.name)}`} className="row-link">
                  {task.name}
                </Link>
                {task.labels.map((l) => (
                  <span key={l} className="label">
                    {l}
                  </span>
                ))}
                {task.description && <p className="sub">{task.description}</p>}
              </td>
              <td data-label={t('col.type')}>{t(`type.${task.type}`)}</td>
              <td data-label={t('col.assets')}>
                <span className="counts">
                  <Count icon="dataset" n={task.counts.datasets} label={t('kind.datasets')} />
                  <Count icon="algorithm" n={task.counts.algorithms} label={t('kind.algorithms')} />
                  <Count icon="model" n={task.counts.models} label={t('kind.models')} />
                </span>
              </td>
              <td className="num" data-label={t('col.runs')}>
                {task.counts.instances}
              </td>
              <td data-label={t('col.owner')}>{task.owner}</td>
              <td data-label={t('col.updated')}>
                <Ago at={task.updated} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Count({ icon, n, label }: { icon: 'dataset' | 'algorithm' | 'model'; n: number; label: string }) {
  return (
    <span className={n ? 'count' : 'count faint'} title={label}>
      <Icon name={icon} size={14} />
      <span className="hidden">{label}: </span>
      {n}
    </span>
  )
}

function CreateForm({ onClose }: { onClose: () => void }) {
  const { t } = useI18n()
  const [, go] = useLocation()
  const create = useCreateTask()
  const [key, setKey] = useState(newKey)
  const [name, setName] = useState('')
  const [description, setDescription] = useState('')
  const [type, setType] = useState<TaskType>('classification')
  const [labels, setLabels] = useState('')
  const wrong = name !== '' && !NAME_PATTERN.test(name)

  return (
    <form
      onSubmit={(e) => {
        e.preventDefault()
        if (wrong) return
        create.mutate(
          { key, name, description, type, labels: labels.split(/[\s,]+/).filter(Boolean) },
          {
            onSuccess: (task) => go(`/tasks/${encodeURIComponent(task.name)}`),
            onError: () => setKey(newKey()),
          },
        )
      }}
    >
      <TextField
        label={t('col.name')}
        value={name}
        onChange={setName}
        required
        autoFocus
        maxLength={64}
        placeholder="digits"
        error={wrong ? t('name.wrong') : null}
        hint={t('name.hint')}
      />
      <TextField label={t('col.description')} value={description} onChange={setDescription} />
      <SelectField
        label={t('col.type')}
        value={type}
        onChange={(v) => setType(v as TaskType)}
        options={TASK_TYPES.map((v) => ({ value: v, label: t(`type.${v}`) }))}
      />
      <TextField label={t('col.labels')} value={labels} onChange={setLabels} hint={t('labels.hint')} />
      <ErrorNote error={create.error} />
      <footer>
        <Button onClick={onClose}>{t('action.cancel')}</Button>
        <Button type="submit" tone="primary" busy={create.isPending}>
          {t('tasks.create')}
        </Button>
      </footer>
    </form>
  )
}
