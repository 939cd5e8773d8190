import { useMemo, useState } from 'react'
import { useLocation, useSearchParams } from 'wouter'
import { useAssets, useFit, useNodes, useSubmit } from '../api/hooks'
import { Problem } from '../api/problem'
import type { Asset, InstanceRequest } from '../api/types'
import { useI18n } from '../i18n'
import { newKey } from '../lib/key'
import { formatBytes, formatCount } from '../lib/format'
import { num, summaryLine } from '../lib/summary'
import {
  Button,
  Card,
  ErrorNote,
  Facts,
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
  const head = (
    <PageHead
      trail={[
        { href: '/tasks', label: t('nav.tasks') },
        { href: base, label: task },
      ]}
      title={t('run.start')}
      note={t('run.start.text')}
    />
  )
  const failed = [datasets, algorithms, models].find((q) => q.isError)
  return (
    <>
      {head}
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

function Form({ task, datasets, algorithms, models }: FormProps) {
  const { t, locale } = useI18n()
  const [, go] = useLocation()
  const [params] = useSearchParams()
  const submit = useSubmit()
  const nodes = useNodes()
  const [key, setKey] = useState(newKey)
  const [dataset, setDataset] = useState(params.get('dataset') ?? (datasets[0] ? refOf(datasets[0]) : ''))
  const [algorithm, setAlgorithm] = useState(params.get('algorithm') ?? (algorithms[0] ? refOf(algorithms[0]) : ''))
  const [model, setModel] = useState(params.get('model') ?? (models[0] ? refOf(models[0]) : ''))
  const [name, setName] = useState('')
  const [ranks, setRanks] = useState('2')
  const [cores, setCores] = useState('1')
  const [memory, setMemory] = useState('')
  const [limit, setLimit] = useState('')
  const [epochs, setEpochs] = useState('')
  const [batch, setBatch] = useState('')
  const [rate, setRate] = useState('')

  const whole = (v: string, required: boolean, max: number) =>
    (v === '' ? !required : /^\d+$/.test(v) && Number(v) >= 1 && Number(v) <= max) ? null : t('number.whole', { max })
  const wrong = {
    ranks: whole(ranks, true, 4096),
    cores: whole(cores, true, 1024),
    memory: memory === '' || Number(memory) > 0 ? null : t('number.positive'),
    limit: whole(limit, false, 525600),
    epochs: whole(epochs, false, 1e6),
    batch: whole(batch, false, 1e7),
    rate: rate === '' || Number(rate) > 0 ? null : t('number.positive'),
  }
  const bad = Object.values(wrong).some(Boolean)
  const complete = Boolean(dataset && algorithm && model)
  const lateRanks = useDebounced(ranks, 300)
  const fitRequest = useMemo(
    () =>
      complete && /^\d{1,4}$/.test(lateRanks) && Number(lateRanks) > 0
        ? { task, dataset, algorithm, model, ranks: Number(lateRanks) }
        : null,
    [complete, task, dataset, algorithm, model, lateRanks],
  )
  const fit = useFit(fitRequest)
  const up = (nodes.data ?? []).filter((n) => n.state === 'up')
  const free = up.reduce((n, x) => n + Math.max(0, x.cores - x.cores_used), 0)
  const chosen = (all: Asset[], ref: string) => all.find((a) => refOf(a) === ref || a.name === ref)

  const picker = (
    label: string,
    all: Asset[],
    value: string,
    set: (v: string) => void,
    kind: 'datasets' | 'algorithms' | 'models',
  ) => {
    const at = chosen(all, value)
    const options = all.map((a) => ({ value: refOf(a), label: `${a.name} (v${a.version})` }))
    if (value && !options.some((o) => o.value === value)) options.unshift({ value, label: value })
    return options.length ? (
      <SelectField label={label} value={value} onChange={set} options={options} hint={at && summaryLine(at, locale)} />
    ) : (
      <div className="field">
        <label>{label}</label>
        <LinkButton href={`/tasks/${encodeURIComponent(task)}/${kind}/new`} icon="plus">
          {t(`add.${kind}`)}
        </LinkButton>
      </div>
    )
  }

  const go1 = () => {
    const overrides: Record<string, unknown> = {
      ...(epochs && { '/epochs': Number(epochs) }),
      ...(batch && { '/batch_size': Number(batch) }),
      ...(rate && { '/optimizer/learning_rate': Number(rate) }),
    }
    const instance: InstanceRequest = {
      ...(name.trim() && { name: name.trim() }),
      dataset,
      algorithm,
      model,
      resources: {
        ranks: Number(ranks),
        cores_per_rank: Number(cores),
        ...(memory && { memory_bytes: Math.round(Number(memory) * 2 ** 30) }),
      },
      ...(Object.keys(overrides).length > 0 && { overrides }),
      ...(limit && { time_limit_seconds: Number(limit) * 60 }),
    }
    submit.mutate(
      { task, instance, key },
      { onSuccess: (job) => go(`/runs/${job.id}`), onError: () => setKey(newKey()) },
    )
  }
  const refused = submit.error instanceof Problem ? checksOf(submit.error) : []
  const summary = fit.data?.summary ?? {}

  return (
    <form
      className="split"
      onSubmit={(e) => {
        e.preventDefault()
        if (complete && !bad) go1()
      }}
    >
      <div className="stack">
        <Card title={t('run.what')}>
          <div className="form">
            {picker(t('kind.dataset'), datasets, dataset, setDataset, 'datasets')}
            {picker(t('kind.model'), models, model, setModel, 'models')}
            {picker(t('kind.algorithm'), algorithms, algorithm, setAlgorithm, 'algorithms')}
            <TextField label={t('run.name')} value={name} onChange={setName} maxLength={64} hint={t('run.name.hint')} />
          </div>
        </Card>
        <Card title={t('run.overrides')}>
          <div className="columns three">
            <TextField
              label={t('run.epochs')}
              value={epochs}
              onChange={setEpochs}
              inputMode="numeric"
              error={wrong.epochs}
              placeholder={t('run.asfile')}
            />
            <TextField
              label={t('run.batch')}
              value={batch}
              onChange={setBatch}
              inputMode="numeric"
              error={wrong.batch}
              placeholder={t('run.asfile')}
            />
            <TextField
              label={t('run.rate')}
              value={rate}
              onChange={setRate}
              inputMode="decimal"
              error={wrong.rate}
              placeholder={t('run.asfile')}
            />
          </div>
        </Card>
        <Card title={t('run.resources')}>
          <div className="columns">
            <TextField
              label={t('run.ranks')}
              value={ranks}
              onChange={setRanks}
              inputMode="numeric"
              error={wrong.ranks}
              hint={t('run.ranks.hint')}
              required
            />
            <TextField
              label={t('run.cores')}
              value={cores}
              onChange={setCores}
              inputMode="numeric"
              error={wrong.cores}
              hint={nodes.data && t('run.free', { n: free, nodes: up.length })}
              required
            />
            <TextField
              label={t('run.memory')}
              value={memory}
              onChange={setMemory}
              inputMode="decimal"
              error={wrong.memory}
              placeholder={t('run.default')}
            />
            <TextField
              label={t('run.limit')}
              value={limit}
              onChange={setLimit}
              inputMode="numeric"
              error={wrong.limit}
              placeholder={t('run.default')}
            />
          </div>
        </Card>
      </div>
      <div className="stack sticky">
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
                    num(summary, 'steps') !== null && [t('fit.steps'), formatCount(num(summary, 'steps') ?? 0, locale)],
                    num(summary, 'batch_per_rank') !== null && [
                      t('fit.batch'),
                      formatCount(num(summary, 'batch_per_rank') ?? 0, locale),
                    ],
                    num(summary, 'memory_bytes') !== null && [
                      t('fit.memory'),
                      formatBytes(num(summary, 'memory_bytes') ?? 0, locale),
                    ],
                  ]}
                />
                <Checks checks={fit.data.checks} seconds={fit.data.seconds} />
              </>
            )}
          </div>
          <ErrorNote error={submit.error} />
          {refused.length > 0 && <Checks checks={refused} />}
          <div className="card-foot">
            <Button type="submit" tone="primary" icon="play" busy={submit.isPending} disabled={!complete}>
              {t('run.go')}
            </Button>
          </div>
        </Card>
      </div>
    </form>
  )
}
