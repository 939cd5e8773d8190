import { useEffect, useMemo, useRef, useState } from 'react'
import { useLocation, useSearchParams } from 'wouter'
import { fromDrop, fromInput, packFiles, type ChosenFile } from '../api/files'
import { useAssetContent, useUploadAsset, useVerification } from '../api/hooks'
import { Problem } from '../api/problem'
import { ASSET_KINDS, singular, type AssetKinds, type DatasetMetadata } from '../api/types'
import { useI18n } from '../i18n'
import { examples, pretty } from '../lib/examples'
import { formatBytes, formatDuration } from '../lib/format'
import { NAME_PATTERN, parseRef, suggestName } from '../lib/names'
import {
  Button,
  Card,
  Empty,
  ErrorNote,
  IconButton,
  Loading,
  PageHead,
  ProgressBar,
  SelectField,
  TextField,
  useDebounced,
  useTitle,
} from '../widgets/basic'
import { Checks, checksOf } from '../widgets/Checks'
import { Editor } from '../widgets/Editor'
import { Icon } from '../widgets/icons'
import { SummaryFacts, SummaryPictures } from '../widgets/Summary'

export default function NewAsset({ task, kind }: { task: string; kind: string }) {
  const { t } = useI18n()
  const known = ASSET_KINDS.find((k) => k === kind)
  useTitle(known ? t(`add.${known}`) : t('missing.title'))
  if (!known)
    return (
      <Empty icon="help" title={t('missing.title')}>
        {t('missing.text')}
      </Empty>
    )
  const trail = [
    { href: '/tasks', label: t('nav.tasks') },
    { href: `/tasks/${encodeURIComponent(task)}`, label: task },
    { href: `/tasks/${encodeURIComponent(task)}?tab=${known}`, label: t(`kind.${known}`) },
  ]
  return (
    <>
      <PageHead trail={trail} title={t(`add.${known}`)} note={t(`add.${known}.text`)} />
      {known === 'datasets' ? <NewDataset task={task} /> : <NewJson task={task} kind={known} />}
    </>
  )
}

/** What both forms do: send, show how far it is, keep everything when it is refused. */
function useSend(task: string, kind: AssetKinds) {
  const upload = useUploadAsset()
  const [, go] = useLocation()
  const [sent, setSent] = useState<{ bytes: number; total: number; rate: number } | null>(null)
  const abort = useRef<AbortController | null>(null)
  useEffect(() => () => abort.current?.abort(), [])

  const send = (fields: { name: string; description: string; metadata: object }, body: Blob) => {
    const started = performance.now()
    abort.current = new AbortController()
    setSent({ bytes: 0, total: body.size, rate: 0 })
    upload.mutate(
      {
        task,
        kind,
        ...fields,
        body,
        signal: abort.current.signal,
        progress: (bytes, total) =>
          setSent({ bytes, total, rate: bytes / Math.max(0.001, (performance.now() - started) / 1000) }),
      },
      {
        onSuccess: (a) => go(`/tasks/${encodeURIComponent(task)}/${kind}/${encodeURIComponent(a.name)}@${a.version}`),
      },
    )
  }
  const aborted = upload.error instanceof DOMException && upload.error.name === 'AbortError'
  return { send, sent, upload, error: aborted ? null : upload.error, stop: () => abort.current?.abort() }
}

function UploadProgress({ sent, stop }: { sent: { bytes: number; total: number; rate: number }; stop: () => void }) {
  const { t, locale } = useI18n()
  const done = sent.bytes >= sent.total
  const left = sent.rate > 0 ? (sent.total - sent.bytes) / sent.rate : null
  return (
    <div className="upload-progress">
      <ProgressBar value={sent.total ? sent.bytes / sent.total : 1} label={t('upload.progress')} />
      <div className="row">
        <span className="grow">
          {done
            ? t('upload.verifying')
            : `${formatBytes(sent.bytes, locale)} / ${formatBytes(sent.total, locale)} · ${formatBytes(sent.rate, locale)}/s${
                left !== null ? ` · ${t('run.left', { time: formatDuration(left) })}` : ''
              }`}
        </span>
        {!done && (
          <Button tone="quiet" onClick={stop}>
            {t('upload.stop')}
          </Button>
        )}
      </div>
    </div>
  )
}

function Refusal({ error, onPlace }: { error: unknown; onPlace?: (line: number, column: number) => void }) {
  if (!error) return null
  const checks = error instanceof Problem ? checksOf(error) : []
  return (
    <>
      <ErrorNote error={error} />
      {checks.length > 0 && <Checks checks={checks} onPlace={onPlace} />}
    </>
  )
}

function NewDataset({ task }: { task: string }) {
  const { t, locale } = useI18n()
  const [params] = useSearchParams()
  const [files, setFiles] = useState<ChosenFile[]>([])
  const [name, setName] = useState(params.get('name') ?? '')
  const [named, setNamed] = useState(params.has('name'))
  const [description, setDescription] = useState('')
  const [target, setTarget] = useState('')
  const [taskType, setTaskType] = useState<'' | 'classification' | 'regression'>('')
  const [fraction, setFraction] = useState('')
  const [seed, setSeed] = useState('')
  const [over, setOver] = useState(false)
  const pick = useRef<HTMLInputElement>(null)
  const pickFolder = useRef<HTMLInputElement>(null)
  const { send, sent, upload, error, stop } = useSend(task, 'datasets')

  const add = (chosen: ChosenFile[]) => {
    setFiles((old) => [...old.filter((o) => !chosen.some((c) => c.path === o.path)), ...chosen])
    const first = chosen[0]
    if (!named && first) setName(suggestName(first.path.includes('/') ? first.path.split('/')[0]! : first.path))
    upload.reset()
  }
  const size = files.reduce((n, f) => n + f.file.size, 0)
  const table = files.some((f) => /\.(csv|tsv)(\.(gz|zst))?$/i.test(f.path))
  const wrongName = name !== '' && !NAME_PATTERN.test(name)
  const wrongFraction = fraction !== '' && !(Number(fraction) > 0 && Number(fraction) < 1)
  const wrongSeed = seed !== '' && !/^\d{1,15}$/.test(seed)

  return (
    <form
      className="form"
      onSubmit={(e) => {
        e.preventDefault()
        if (wrongName || wrongFraction || wrongSeed || files.length === 0) return
        const metadata: DatasetMetadata = {
          ...(target && { target }),
          ...(taskType && { task_type: taskType }),
          ...(fraction && { test_fraction: Number(fraction) }),
          ...(seed && { seed: Number(seed) }),
        }
        send({ name, description, metadata: table ? metadata : {} }, packFiles(files))
      }}
    >
      <div
        className={over ? 'drop over' : 'drop'}
        onDragOver={(e) => {
          e.preventDefault()
          setOver(true)
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(e) => {
          e.preventDefault()
          setOver(false)
          void fromDrop(e.dataTransfer).then(add)
        }}
      >
        <Icon name="upload" size={26} />
        <p>
          <b>{t('dataset.drop')}</b>
        </p>
        <p className="faint">{t('dataset.formats')}</p>
        <div className="row center">
          <Button icon="file" onClick={() => pick.current?.click()}>
            {t('dataset.choose')}
          </Button>
          <Button icon="folder" onClick={() => pickFolder.current?.click()}>
            {t('dataset.folder')}
          </Button>
        </div>
        <input
          ref={pick}
          type="file"
          multiple
          hidden
          data-testid="files"
          onChange={(e) => {
            if (e.target.files) add(fromInput(e.target.files))
            e.target.value = ''
          }}
        />
        <input
          ref={pickFolder}
          type="file"
          hidden
          {...{ webkitdirectory: '' }}
          onChange={(e) => {
            if (e.target.files) add(fromInput(e.target.files))
            e.target.value = ''
          }}
        />
      </div>
      {files.length > 0 && (
        <div className="card flush files">
          <ul>
            {files.slice(0, 8).map((f) => (
              <li key={f.path}>
                <Icon name="file" size={14} />
                <span className="grow">{f.path}</span>
                <span className="faint num">{formatBytes(f.file.size, locale)}</span>
                <IconButton
                  icon="cross"
                  label={t('dataset.remove', { name: f.path })}
                  onClick={() => setFiles(files.filter((o) => o !== f))}
                />
              </li>
            ))}
            {files.length > 8 && <li className="faint">{t('dataset.andmore', { n: files.length - 8 })}</li>}
          </ul>
          <p className="files-foot">
            {t('dataset.total', { n: files.length, size: formatBytes(size, locale) })}
            {files.length > 1 && ` ${t('dataset.tar')}`}
          </p>
        </div>
      )}
      <div className="columns">
        <TextField
          label={t('col.name')}
          value={name}
          required
          maxLength={64}
          onChange={(v) => {
            setName(v)
            setNamed(true)
          }}
          error={wrongName ? t('name.wrong') : null}
          hint={t('asset.name.hint')}
        />
        <TextField label={t('col.description')} value={description} onChange={setDescription} />
      </div>
      {table && (
        <Card title={t('csv.title')}>
          <div className="columns">
            <TextField label={t('csv.target')} value={target} onChange={setTarget} hint={t('csv.target.hint')} />
            <SelectField
              label={t('csv.type')}
              value={taskType}
              onChange={(v) => setTaskType(v as typeof taskType)}
              options={[
                { value: '', label: t('csv.type.auto') },
                { value: 'classification', label: t('type.classification') },
                { value: 'regression', label: t('type.regression') },
              ]}
            />
            <TextField
              label={t('csv.fraction')}
              value={fraction}
              onChange={setFraction}
              inputMode="decimal"
              placeholder="0.2"
              error={wrongFraction ? t('csv.fraction.wrong') : null}
            />
            <TextField
              label={t('csv.seed')}
              value={seed}
              onChange={setSeed}
              inputMode="numeric"
              placeholder="0"
              error={wrongSeed ? t('csv.seed.wrong') : null}
            />
          </div>
        </Card>
      )}
      <Refusal error={error} />
      {upload.isPending && sent && <UploadProgress sent={sent} stop={stop} />}
      <footer>
        <Button type="submit" tone="primary" icon="upload" busy={upload.isPending} disabled={files.length === 0}>
          {t('upload.go')}
        </Button>
      </footer>
    </form>
  )
}

function NewJson({ task, kind }: { task: string; kind: Exclude<AssetKinds, 'datasets'> }) {
  const [params] = useSearchParams()
  const from = params.get('from')
  const content = useAssetContent(task, kind, from ?? '', from !== null)
  if (from !== null && content.isPending) return <Loading />
  const start = examples[kind][0]
  return (
    <>
      <ErrorNote error={content.error} />
      <JsonForm
        task={task}
        kind={kind}
        initialName={from !== null ? parseRef(from).name : ''}
        initialText={content.data ?? (start ? pretty(start.content) : '')}
      />
    </>
  )
}

function JsonForm({
  task,
  kind,
  initialName,
  initialText,
}: {
  task: string
  kind: Exclude<AssetKinds, 'datasets'>
  initialName: string
  initialText: string
}) {
  const { t } = useI18n()
  const [text, setText] = useState(initialText)
  const [typedName, setTypedName] = useState<string | null>(initialName || null)
  const [description, setDescription] = useState('')
  const [goTo, setGoTo] = useState<{ line: number; column: number; at: number } | null>(null)
  const pick = useRef<HTMLInputElement>(null)
  const late = useDebounced(text, 350)
  const verification = useVerification(task, kind, late)
  const { send, sent, upload, error, stop } = useSend(task, kind)

  const inFile = useMemo(() => {
    const m = /"name"\s*:\s*"([^"\\]+)"/.exec(text) // the first name: that of the file itself
    return m ? suggestName(m[1]!) : ''
  }, [text])
  const name = typedName ?? inFile
  const wrongName = name !== '' && !NAME_PATTERN.test(name)
  const place = (line: number, column: number) => setGoTo({ line, column, at: Date.now() })
  const current = late === text && !verification.isPlaceholderData
  const checks = verification.data?.checks ?? []
  const replace = (v: string) => {
    setText(v)
    upload.reset()
  }

  return (
    <form
      className="form wide"
      onSubmit={(e) => {
        e.preventDefault()
        if (wrongName || text.trim() === '') return
        send({ name, description, metadata: {} }, new Blob([text]))
      }}
    >
      <div className="columns">
        <TextField
          label={t('col.name')}
          value={name}
          required
          maxLength={64}
          onChange={setTypedName}
          error={wrongName ? t('name.wrong') : null}
          hint={t('asset.name.hint')}
        />
        <TextField label={t('col.description')} value={description} onChange={setDescription} />
      </div>
      <div className="toolbar">
        <Button icon="file" onClick={() => pick.current?.click()}>
          {t('editor.open')}
        </Button>
        <span className="faint">{t('editor.examples')}</span>
        {examples[kind].map((x) => (
          <Button key={x.name} tone="quiet" onClick={() => replace(pretty(x.content))}>
            {x.title}
          </Button>
        ))}
        <input
          ref={pick}
          type="file"
          accept=".json,application/json"
          hidden
          data-testid="json-file"
          onChange={(e) => {
            const file = e.target.files?.[0]
            e.target.value = ''
            if (!file) return
            if (typedName === null) setTypedName(suggestName(file.name))
            void file.text().then(replace)
          }}
        />
      </div>
      <div className="edit-and-check">
        <Editor label={t('editor.source')} value={text} onChange={replace} checks={checks} goTo={goTo} />
        <aside className="verdict" aria-live="polite" data-current={current}>
          <h2>
            {t('verification.title')}
            {verification.data && (
              <span
                className={`pill ${verification.data.ok ? 'good' : 'bad'}`}
                data-verdict={verification.data.ok ? 'ok' : 'failed'}
              >
                {t(verification.data.ok ? 'verification.passed' : 'verification.failed')}
              </span>
            )}
            {!current && text.trim() !== '' && !verification.isError && <span className="spinner" aria-hidden="true" />}
          </h2>
          {text.trim() === '' ? (
            <p className="faint">{t('editor.empty')}</p>
          ) : verification.isError ? (
            <ErrorNote error={verification.error} onRetry={() => void verification.refetch()} />
          ) : (
            <>
              {verification.data?.ok && <SummaryFacts kind={singular[kind]} summary={verification.data.summary} />}
              <Checks checks={checks} seconds={verification.data?.seconds} onPlace={place} />
            </>
          )}
        </aside>
      </div>
      <Refusal error={error} onPlace={place} />
      {upload.isPending && sent && <UploadProgress sent={sent} stop={stop} />}
      <footer>
        <Button type="submit" tone="primary" icon="upload" busy={upload.isPending} disabled={text.trim() === ''}>
          {t('asset.save')}
        </Button>
      </footer>
      {verification.data?.ok && <SummaryPictures kind={singular[kind]} summary={verification.data.summary} />}
    </form>
  )
}
