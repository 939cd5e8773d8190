import { useRef, useState } from 'react'
import { useSearchParams } from 'wouter'
import { fromDrop, fromInput, packFiles, type ChosenFile } from '../api/files'
import { ASSET_KINDS, type DatasetMetadata } from '../api/types'
import { useI18n } from '../i18n'
import { formatBytes } from '../lib/format'
import { NAME_PATTERN, suggestName } from '../lib/names'
import { Button, Card, Empty, IconButton, PageHead, SelectField, TextField, useTitle } from '../widgets/basic'
import { Icon } from '../widgets/icons'
import { NewJson } from './asset/NewJson'
import { Refusal, UploadProgress, useSend } from './asset/send'

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
