/* An algorithm, a model or a layer: its source, what is said about it as one types, and for an algorithm and a model the
 * same thing in another form. The text is the truth; form and builder read it and write it. */
import { lazy, Suspense, useMemo, useRef, useState, type KeyboardEvent } from 'react'
import { useSearchParams } from 'wouter'
import { useAssetContent, useLayerLibrary, useVerification } from '../../api/hooks'
import { singular, type AssetKinds, type ModelGraph, type Verification } from '../../api/types'
import { useI18n } from '../../i18n'
import { examples, pretty } from '../../lib/examples'
import { begin, redo, step, undo, type History } from '../../lib/history'
import { NAME_PATTERN, parseRef, suggestName } from '../../lib/names'
import { graphOf } from '../../lib/summary'
import { Button, ErrorNote, Loading, TextField, useDebounced } from '../../widgets/basic'
import { AlgorithmForm } from '../../widgets/AlgorithmForm'
import { Checks } from '../../widgets/Checks'
import { Editor } from '../../widgets/Editor'
import { SummaryFacts, SummaryPictures } from '../../widgets/Summary'
import { Refusal, UploadProgress, useSend } from './send'

const ModelBuilder = lazy(() => import('../../widgets/builder/ModelBuilder'))

type JsonKinds = Exclude<AssetKinds, 'datasets'>

export function NewJson({ task, kind }: { task: string; kind: JsonKinds }) {
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

interface Text {
  value: string
  set: (v: string, at?: number) => void
  undo: (() => void) | null
  redo: (() => void) | null
}

function useText(initial: string): Text {
  const [history, setHistory] = useState<History<string>>(() => begin(initial))
  return {
    value: history.now,
    set: (v, at = 0) => setHistory((h) => step(h, v, at)),
    undo: history.past.length ? () => setHistory(undo) : null,
    redo: history.future.length ? () => setHistory(redo) : null,
  }
}

/** The last verification that passed: what the picture shows while the text is being changed. */
function useLastGood(v: Verification | undefined): ModelGraph | null {
  const [good, setGood] = useState<Verification | null>(null)
  if (v?.ok && v !== good) setGood(v)
  return useMemo(() => (good ? graphOf(good.summary) : null), [good])
}

interface JsonFormProps {
  task: string
  kind: JsonKinds
  initialName: string
  initialText: string
}

function JsonForm({ task, kind, initialName, initialText }: JsonFormProps) {
  const { t } = useI18n()
  const text = useText(initialText)
  const [typedName, setTypedName] = useState<string | null>(initialName || null)
  const [description, setDescription] = useState('')
  const [goTo, setGoTo] = useState<{ line: number; column: number; at: number } | null>(null)
  const late = useDebounced(text.value, 350)
  const verification = useVerification(task, kind, late)
  const { send, sent, upload, error, stop } = useSend(task, kind)
  const graph = useLastGood(verification.data)

  const inFile = useMemo(() => {
    const m = /"name"\s*:\s*"([^"\\]+)"/.exec(text.value) // the first name: that of the file itself
    return m ? suggestName(m[1]!) : ''
  }, [text.value])
  const name = typedName ?? inFile
  const wrongName = name !== '' && !NAME_PATTERN.test(name)
  const empty = text.value.trim() === ''
  const place = (line: number, column: number) => setGoTo({ line, column, at: Date.now() })
  const current = late === text.value && !verification.isPlaceholderData
  const checks = verification.data?.checks ?? []
  const replace = (v: string, at = 0) => {
    text.set(v, at)
    upload.reset()
  }
  const keys = (e: KeyboardEvent) => {
    if (!(e.ctrlKey || e.metaKey) || e.altKey) return
    const key = e.key.toLowerCase()
    // Inside the single-line fields the browser's own undo is the right one.
    if ((key !== 'z' && key !== 'y') || (e.target as HTMLElement).tagName === 'INPUT') return
    e.preventDefault()
    if (key === 'y' || e.shiftKey) text.redo?.()
    else text.undo?.()
  }
  const source = (
    <Editor
      label={t('editor.source')}
      value={text.value}
      onChange={(v) => replace(v, Date.now())}
      checks={checks}
      goTo={goTo}
    />
  )
  const verdict = <Verdict kind={kind} empty={empty} current={current} verification={verification} onPlace={place} />

  return (
    <form
      className="form wide"
      onKeyDown={keys}
      onSubmit={(e) => {
        e.preventDefault()
        if (wrongName || empty) return
        send({ name, description, metadata: {} }, new Blob([text.value]))
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
      <Start
        kind={kind}
        onText={replace}
        onFile={(file) => {
          if (typedName === null) setTypedName(suggestName(file))
        }}
      />
      {kind === 'models' && (
        <Builder task={task} text={text} replace={replace} graph={graph} checks={current ? checks : []}>
          {verification.data?.ok && <SummaryFacts kind="model" summary={verification.data.summary} />}
        </Builder>
      )}
      {kind === 'algorithms' ? (
        <div className="form-and-source">
          <AlgorithmForm text={text.value} onChange={(v) => replace(v, Date.now())} />
          {source}
          {verdict}
        </div>
      ) : (
        <div className="edit-and-check">
          {source}
          {verdict}
        </div>
      )}
      <Refusal error={error} onPlace={place} />
      {upload.isPending && sent && <UploadProgress sent={sent} stop={stop} />}
      <footer>
        <Button type="submit" tone="primary" icon="upload" busy={upload.isPending} disabled={empty}>
          {t('asset.save')}
        </Button>
      </footer>
      {verification.data?.ok && kind !== 'models' && (
        <SummaryPictures kind={singular[kind]} summary={verification.data.summary} />
      )}
    </form>
  )
}

/** A file of one's own, or an example. */
function Start({
  kind,
  onText,
  onFile,
}: {
  kind: JsonKinds
  onText: (text: string) => void
  onFile: (name: string) => void
}) {
  const { t } = useI18n()
  const pick = useRef<HTMLInputElement>(null)
  return (
    <div className="toolbar">
      <Button icon="file" onClick={() => pick.current?.click()}>
        {t('editor.open')}
      </Button>
      <span className="faint">{t('editor.examples')}</span>
      {examples[kind].map((x) => (
        <Button key={x.name} tone="quiet" onClick={() => onText(pretty(x.content))}>
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
          onFile(file.name)
          void file.text().then(onText)
        }}
      />
    </div>
  )
}

function Builder({
  task,
  text,
  replace,
  graph,
  checks,
  children,
}: {
  task: string
  text: Text
  replace: (v: string, at?: number) => void
  graph: ModelGraph | null
  checks: Verification['checks']
  children: React.ReactNode
}) {
  const library = useLayerLibrary(task)
  return (
    <>
      <ErrorNote error={library.error} />
      <Suspense fallback={<Loading rows={6} />}>
        <ModelBuilder
          text={text.value}
          onChange={(v, typing) => replace(v, typing ? Date.now() : 0)}
          types={library.types}
          graph={graph}
          checks={checks}
          undo={text.undo}
          redo={text.redo}
        >
          {children}
        </ModelBuilder>
      </Suspense>
    </>
  )
}

function Verdict({
  kind,
  empty,
  current,
  verification,
  onPlace,
}: {
  kind: JsonKinds
  empty: boolean
  current: boolean
  verification: ReturnType<typeof useVerification>
  onPlace: (line: number, column: number) => void
}) {
  const { t } = useI18n()
  const { data } = verification
  return (
    <aside className="verdict" aria-live="polite" data-current={current}>
      <h2>
        {t('verification.title')}
        {data && (
          <span className={`pill ${data.ok ? 'good' : 'bad'}`} data-verdict={data.ok ? 'ok' : 'failed'}>
            {t(data.ok ? 'verification.passed' : 'verification.failed')}
          </span>
        )}
        {!current && !empty && !verification.isError && <span className="spinner" aria-hidden="true" />}
      </h2>
      {empty ? (
        <p className="faint">{t('editor.empty')}</p>
      ) : verification.isError ? (
        <ErrorNote error={verification.error} onRetry={() => void verification.refetch()} />
      ) : (
        <>
          {data?.ok && kind !== 'models' && <SummaryFacts kind={singular[kind]} summary={data.summary} />}
          <Checks checks={data?.checks ?? []} seconds={data?.seconds} onPlace={onPlace} />
        </>
      )}
    </aside>
  )
}
