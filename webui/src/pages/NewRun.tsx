import { useMemo, useState } from 'react'
import { useLocation, useSearchParams } from 'wouter'
import { useAssets, useFit, useNodes, usePartitions, useSubmit } from '../api/hooks'
import { Problem } from '../api/problem'
import type { Asset, InstanceRequest } from '../api/types'
import { useI18n } from '../i18n'
import { formatBytes, formatCount } from '../lib/format'
import { newKey } from '../lib/key'
import { commandLine } from '../lib/runlink'
import { emptyRunForm, gridOf, readRunForm, requestsOf, type RunForm } from '../lib/runform'
import { num, summaryLine } from '../lib/summary'
import {
  Button,
  Card,
  CopyButton,
  ErrorNote,
  Facts,
  IconButton,
  LinkButton,
  Loading,
  PageHead,
  SelectField,
  TextField,
  useDebounced,
  useTitle,
} from '../widgets/basic'
import { Checks, checksOf } from '../widgets/Checks'

const refOf = (a: Asset) => `${a.name}@${a.version}`

export default function NewRun({ task }: { task: string }) {
  const { t } = useI18n()
  useTitle(t('run.start'))
  const datasets = useAssets(task, 'datasets')
  const algorithms = useAssets(task, 'algorithms')
  const models = useAssets(task, 'models')
  const base = `/tasks/${encodeURIComponent(task)}`
  const failed = [datasets, algorithms, models].find((q) => q.isError)
  return (
    <>
      <PageHead
        trail={[
          { href: '/tasks', label: t('nav.tasks') },
          { href: base, label: task },
        ]}
        title={t('run.start')}
        note={t('run.start.text')}
      />
      {failed && <ErrorNote error={failed.error} onRetry={() => void failed.refetch()} />}
      {datasets.data && algorithms.data && models.data ? (
        <Form task={task} datasets={datasets.data} algorithms={algorithms.data} models={models.data} />
      ) : (
        !failed && <Loading />
      )}
    </>
  )
}

interface FormProps {
  task: string
  datasets: Asset[]
  algorithms: Asset[]
  models: Asset[]
}

function useRunForm({ datasets, algorithms, models }: FormProps) {
  const [params] = useSearchParams()
  const [form, setForm] = useState<RunForm>(() =>
    readRunForm(params, {
      ...emptyRunForm,
      dataset: datasets[0] ? refOf(datasets[0]) : '',
      algorithm: algorithms[0] ? refOf(algorithms[0]) : '',
      model: models[0] ? refOf(models[0]) : '',
    }),
  )
  const set =
    <K extends keyof RunForm>(key: K) =>
    (v: RunForm[K]) =>
      setForm((f) => ({ ...f, [key]: v }))
  return { form, set }
}

function useWrong(form: RunForm) {
  const { t } = useI18n()
  const whole = (v: string, required: boolean, max: number) =>
    (v === '' ? !required : /^\d+$/.test(v) && Number(v) >= 1 && Number(v) <= max) ? null : t('number.whole', { max })
  const grid = (v: string, integer: boolean) => {
    if (v.trim() === '') return null
    const values = gridOf(v)
    if (!values) return t('sweep.wrong')
    return values.every((n) => n > 0 && (!integer || Number.isInteger(n)))
      ? null
      : t(integer ? 'number.integers' : 'number.positive')
  }
  return {
    ranks: whole(form.ranks, true, 4096),
    cores: whole(form.cores, true, 1024),
    gpus: form.gpus === '' || /^\d{1,3}$/.test(form.gpus) ? null : t('number.whole', { max: 64 }),
    memory: form.memory === '' || Number(form.memory) > 0 ? null : t('number.positive'),
    limit: whole(form.limit, false, 525600),
    priority: form.priority === '' || /^-?\d{1,9}$/.test(form.priority) ? null : t('number.integers'),
    epochs: grid(form.epochs, true),
    batch: grid(form.batch, true),
    rate: grid(form.rate, false),
    others: form.others.map((o) =>
      o.pointer.startsWith('/') || o.pointer === '' ? null : t('override.pointer.wrong'),
    ),
  }
}

function Form(props: FormProps) {
  const { task } = props
  const { t } = useI18n()
  const [, go] = useLocation()
  const submit = useSubmit()
  const [key, setKey] = useState(newKey)
  const [sent, setSent] = useState(0)
  const { form, set } = useRunForm(props)
  const wrong = useWrong(form)
  const bad = Object.values(wrong).flat().some(Boolean)
  const complete = Boolean(form.dataset && form.algorithm && form.model)
  const requests = bad || !complete ? [] : requestsOf(form)

  /** One after the other: an idempotency key each, so that trying again after a break makes none twice. */
  const send = async (all: InstanceRequest[]) => {
    let last = null
    for (const [i, instance] of all.entries()) {
      if (i < sent) continue
      last = await submit.mutateAsync({ task, instance, key: `${key}-${i}` })
      setSent(i + 1)
    }
    if (last) go(all.length > 1 ? `/runs?q=${encodeURIComponent(form.name || `task:${task}`)}` : `/runs/${last.id}`)
  }

  return (
    <form
      className="split"
      onSubmit={(e) => {
        e.preventDefault()
        if (requests.length)
          void send(requests).catch(() => {
            // shown below; a refused request is another one when it is sent again
            if (sent === 0) setKey(newKey())
          })
      }}
    >
      <div className="stack">
        <What {...props} form={form} set={set} />
        <Overrides form={form} set={set} wrong={wrong} />
        <ResourcesCard form={form} set={set} wrong={wrong} />
      </div>
      <div className="stack sticky">
        <Fit task={task} form={form} complete={complete}>
          <ErrorNote error={submit.error} />
          {submit.error instanceof Problem && checksOf(submit.error).length > 0 && (
            <Checks checks={checksOf(submit.error)} />
          )}
          <div className="card-foot">
            <Button
              type="submit"
              tone="primary"
              icon="play"
              busy={submit.isPending}
              disabled={!complete || requests.length === 0}
            >
              {requests.length > 1 ? t('run.go.many', { n: requests.length }) : t('run.go')}
            </Button>
          </div>
        </Fit>
        {requests.length > 0 && <CommandCard task={task} requests={requests} />}
      </div>
    </form>
  )
}

interface PartProps {
  form: RunForm
  set: <K extends keyof RunForm>(key: K) => (v: RunForm[K]) => void
}

function What({ task, datasets, algorithms, models, form, set }: FormProps & PartProps) {
  const { t, locale } = useI18n()
  const picker = (
    kind: 'datasets' | 'algorithms' | 'models',
    all: Asset[],
    field: 'dataset' | 'algorithm' | 'model',
  ) => {
    const value = form[field]
    const at = all.find((a) => refOf(a) === value || a.name === value)
    const options = all.map((a) => ({ value: refOf(a), label: `${a.name} (v${a.version})` }))
    if (value && !options.some((o) => o.value === value)) options.unshift({ value, label: value })
    return options.length ? (
      <SelectField
        label={t(`kind.${field}`)}
        value={value}
        onChange={set(field)}
        options={options}
        hint={at && summaryLine(at, locale)}
      />
    ) : (
      <div className="field">
        <span className="field-label">{t(`kind.${field}`)}</span>
        <LinkButton href={`/tasks/${encodeURIComponent(task)}/${kind}/new`} icon="plus">
          {t(`add.${kind}`)}
        </LinkButton>
      </div>
    )
  }
  return (
    <Card title={t('run.what')}>
      <div className="columns three">
        {picker('datasets', datasets, 'dataset')}
        {picker('models', models, 'model')}
        {picker('algorithms', algorithms, 'algorithm')}
      </div>
      <div className="form run-name">
        <TextField
          label={t('run.name')}
          value={form.name}
          onChange={set('name')}
          maxLength={64}
          hint={t('run.name.hint')}
        />
      </div>
    </Card>
  )
}

type Wrong = ReturnType<typeof useWrong>

function Overrides({ form, set, wrong }: PartProps & { wrong: Wrong }) {
  const { t } = useI18n()
  const setOther = (i: number, part: Partial<RunForm['others'][number]>) =>
    set('others')(form.others.map((o, k) => (k === i ? { ...o, ...part } : o)))
  return (
    <Card title={t('run.overrides')}>
      <div className="columns three">
        <TextField
          label={t('run.epochs')}
          value={form.epochs}
          onChange={set('epochs')}
          error={wrong.epochs}
          placeholder={t('run.asfile')}
        />
        <TextField
          label={t('run.batch')}
          value={form.batch}
          onChange={set('batch')}
          error={wrong.batch}
          placeholder={t('run.asfile')}
        />
        <TextField
          label={t('run.rate')}
          value={form.rate}
          onChange={set('rate')}
          error={wrong.rate}
          placeholder={t('run.asfile')}
        />
      </div>
      {form.others.map((o, i) => (
        <div className="override-row" key={i}>
          <TextField
            label={t('override.pointer')}
            value={o.pointer}
            placeholder="/optimizer/weight_decay"
            error={wrong.others[i]}
            onChange={(v) => setOther(i, { pointer: v })}
          />
          <TextField
            label={t('override.value')}
            value={o.value}
            placeholder="0.01"
            onChange={(v) => setOther(i, { value: v })}
          />
          <IconButton
            icon="cross"
            label={t('override.remove')}
            onClick={() => set('others')(form.others.filter((_, k) => k !== i))}
          />
        </div>
      ))}
      <div className="row override-foot">
        <Button tone="quiet" icon="plus" onClick={() => set('others')([...form.others, { pointer: '', value: '' }])}>
          {t('override.add')}
        </Button>
        <span className="faint grow">{t('sweep.hint')}</span>
      </div>
    </Card>
  )
}

function ResourcesCard({ form, set, wrong }: PartProps & { wrong: Wrong }) {
  const { t } = useI18n()
  const nodes = useNodes()
  const partitions = usePartitions()
  const up = (nodes.data ?? []).filter((n) => n.state === 'up')
  const free = up.reduce((n, x) => n + Math.max(0, x.cores - x.cores_used), 0)
  const gpus = up.reduce((n, x) => n + x.gpus.length, 0)
  const text = (field: 'ranks' | 'cores' | 'gpus' | 'memory' | 'limit' | 'priority', hint?: string | false) => (
    <TextField
      label={t(field === 'gpus' ? 'run.gpus' : field === 'priority' ? 'run.priority' : `run.${field}`)}
      value={form[field]}
      onChange={set(field)}
      inputMode={field === 'memory' ? 'decimal' : 'numeric'}
      error={wrong[field]}
      hint={hint || undefined}
      placeholder={field === 'gpus' || field === 'priority' ? '0' : t('run.default')}
      required={field === 'ranks' || field === 'cores'}
    />
  )
  const options = (partitions.data ?? []).map((p) => ({ value: p.name, label: p.name }))
  return (
    <Card title={t('run.resources')}>
      <div className="columns three">
        {text('ranks', t('run.ranks.hint'))}
        {text('cores', nodes.data && t('run.free', { n: free, nodes: up.length }))}
        {text('gpus', nodes.data && t('run.gpus.free', { n: gpus }))}
        {text('memory')}
        {text('limit')}
        {text('priority', t('run.priority.hint'))}
        {options.length > 1 && (
          <SelectField
            label={t('run.partition')}
            value={form.partition || options[0]!.value}
            onChange={set('partition')}
            options={options}
          />
        )}
      </div>
    </Card>
  )
}

function Fit({
  task,
  form,
  complete,
  children,
}: {
  task: string
  form: RunForm
  complete: boolean
  children: React.ReactNode
}) {
  const { t, locale } = useI18n()
  const lateRanks = useDebounced(form.ranks, 300)
  const { dataset, algorithm, model } = form
  const request = useMemo(
    () =>
      complete && /^\d{1,4}$/.test(lateRanks) && Number(lateRanks) > 0
        ? { task, dataset, algorithm, model, ranks: Number(lateRanks) }
        : null,
    [complete, task, dataset, algorithm, model, lateRanks],
  )
  const fit = useFit(request)
  const summary = fit.data?.summary ?? {}
  const number = (key: string) => num(summary, key)
  const fact = (key: string, label: string, format = formatCount): readonly [string, string] | false => {
    const v = number(key)
    return v !== null && [label, format(v, locale)]
  }
  return (
    <Card title={t('fit.title')}>
      <div aria-live="polite" data-fit={fit.data ? (fit.data.ok ? 'ok' : 'failed') : 'unknown'}>
        {!complete ? (
          <p className="faint">{t('fit.incomplete')}</p>
        ) : fit.isPending ? (
          <Loading rows={2} />
        ) : fit.isError ? (
          <ErrorNote error={fit.error} onRetry={() => void fit.refetch()} />
        ) : (
          <>
            <Facts
              items={[
                fact('steps', t('fit.steps')),
                fact('batch_per_rank', t('fit.batch')),
                fact('memory_bytes', t('fit.memory'), formatBytes),
              ]}
            />
            <Checks checks={fit.data.checks} seconds={fit.data.seconds} />
          </>
        )}
      </div>
      {children}
    </Card>
  )
}

function CommandCard({ task, requests }: { task: string; requests: readonly InstanceRequest[] }) {
  const { t } = useI18n()
  const [kind, setKind] = useState<'command' | 'sbatch'>('command')
  const lines = requests.map((r) => commandLine(task, r))
  const text = kind === 'command' ? lines.join('\n') : sbatch(lines, requests[0]!)
  return (
    <Card
      title={t('run.command')}
      actions={
        <>
          <button
            type="button"
            className="toggle"
            aria-pressed={kind === 'sbatch'}
            onClick={() => setKind(kind === 'sbatch' ? 'command' : 'sbatch')}
          >
            sbatch
          </button>
          <CopyButton text={text} />
        </>
      }
    >
      <pre className="command" tabIndex={0} aria-label={t('run.command')}>
        {text}
      </pre>
    </Card>
  )
}

/** A script for Slurm's command line that submits and waits: the resources are those of the run itself. */
function sbatch(lines: readonly string[], r: InstanceRequest): string {
  return [
    '#!/bin/sh',
    ...(r.name ? [`#SBATCH --job-name=${r.name.replace(/[^\w.-]+/g, '-')}`] : []),
    '#SBATCH --ntasks=1',
    ...(r.time_limit_seconds ? [`#SBATCH --time=${Math.ceil(r.time_limit_seconds / 60)}`] : []),
    ...lines.map((l) => `${l} --follow`),
    '',
  ].join('\n')
}
