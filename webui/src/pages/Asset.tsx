import { useState } from 'react'
import { Link, useLocation } from 'wouter'
import {
  contentUrl,
  useAsset,
  useAssetContent,
  useAssets,
  useDatasetPreview,
  useDeleteAsset,
  useModelGraph,
  type PreviewSample,
} from '../api/hooks'
import { ASSET_KINDS, type Asset as AssetRow, type AssetKinds } from '../api/types'
import { useI18n } from '../i18n'
import { formatBytes, formatCount, formatDuration, formatValue } from '../lib/format'
import { datasetInfo, summaryLine, text } from '../lib/summary'
import {
  Ago,
  Card,
  Confirm,
  CopyButton,
  Empty,
  ErrorNote,
  Facts,
  IconButton,
  LinkButton,
  Loading,
  PageHead,
  useTitle,
} from '../widgets/basic'
import { Checks } from '../widgets/Checks'
import { Editor } from '../widgets/Editor'
import { Icon } from '../widgets/icons'
import { GraphCard, SummaryPictures, useFacts } from '../widgets/Summary'
import { VerificationPill } from './Task'

export default function Asset({ task, kind, reference }: { task: string; kind: string; reference: string }) {
  const { t } = useI18n()
  useTitle(reference)
  const known = ASSET_KINDS.find((k) => k === kind)
  return known ? (
    <KnownAsset task={task} kind={known} reference={reference} />
  ) : (
    <Empty icon="help" title={t('missing.title')}>
      {t('missing.text')}
    </Empty>
  )
}

function KnownAsset({ task, kind, reference }: { task: string; kind: AssetKinds; reference: string }) {
  const { t, locale } = useI18n()
  const asset = useAsset(task, kind, reference)
  const [, go] = useLocation()
  const remove = useDeleteAsset()
  const [removing, setRemoving] = useState(false)
  const base = `/tasks/${encodeURIComponent(task)}`
  const trail = [
    { href: '/tasks', label: t('nav.tasks') },
    { href: base, label: task },
    { href: `${base}?tab=${kind}`, label: t(`kind.${kind}`) },
  ]
  if (asset.isPending) return <Loading />
  if (asset.isError)
    return (
      <>
        <PageHead trail={trail} title={reference} />
        <ErrorNote error={asset.error} onRetry={() => void asset.refetch()} />
      </>
    )
  const a = asset.data
  const ref = `${a.name}@${a.version}`
  const again = kind === 'datasets' ? `?name=${encodeURIComponent(a.name)}` : `?from=${encodeURIComponent(ref)}`
  return (
    <>
      <PageHead
        trail={trail}
        title={
          <>
            {a.name} <span className="version">v{a.version}</span>
          </>
        }
        note={
          <>
            <VerificationPill asset={a} />
            <span>{a.description || summaryLine(a, locale)}</span>
          </>
        }
        actions={
          <>
            <IconButton icon="trash" label={t('asset.delete')} onClick={() => setRemoving(true)} />
            <a className="button" href={contentUrl(a)} download>
              <Icon name="download" />
              {t('action.download')}
            </a>
            <LinkButton href={`${base}/${kind}/new${again}`} icon="plus">
              {t('asset.newversion')}
            </LinkButton>
            {kind !== 'layers' && (
              <LinkButton href={`${base}/run?${a.kind}=${encodeURIComponent(ref)}`} tone="primary" icon="play">
                {t('run.start')}
              </LinkButton>
            )}
          </>
        }
      />
      <div className="split">
        <div className="stack">
          {kind === 'models' ? (
            <ModelCard asset={a} />
          ) : (
            <SummaryPictures kind={a.kind} summary={a.verification?.summary ?? {}} />
          )}
          {kind === 'datasets' ? <DatasetCard asset={a} /> : <Source asset={a} kind={kind} />}
        </div>
        <div className="stack">
          <AssetFacts asset={a} />
          <Card title={t('verification.title')}>
            {a.verification ? (
              <Checks checks={a.verification.checks} seconds={a.verification.seconds} />
            ) : (
              <p className="faint">{t('verification.none')}</p>
            )}
          </Card>
          <Versions asset={a} kind={kind} />
        </div>
      </div>
      <Confirm
        open={removing}
        title={t('asset.delete')}
        text={t('asset.delete.text', { name: ref })}
        action={t('asset.delete')}
        busy={remove.isPending}
        error={remove.error}
        onClose={() => {
          remove.reset()
          setRemoving(false)
        }}
        onConfirm={() => remove.mutate({ task, kind, ref }, { onSuccess: () => go(`${base}?tab=${kind}`) })}
      />
    </>
  )
}

function AssetFacts({ asset: a }: { asset: AssetRow }) {
  const { t, locale } = useI18n()
  const facts = useFacts(a.kind, a.verification?.summary ?? {})
  const metadata = Object.entries(a.metadata)
  return (
    <Card title={t('asset.facts')}>
      <Facts
        items={[
          ...facts,
          ...metadata.map(([k, v]) => [k, String(v)] as const),
          [t('col.size'), formatBytes(a.size, locale)],
          [
            t('col.created'),
            <>
              <Ago at={a.created} /> · {a.created_by}
            </>,
          ],
          [
            'SHA-256',
            <span className="digest">
              <code title={a.digest}>{a.digest.slice(0, 12)}</code>
              <CopyButton text={a.digest} />
            </span>,
          ],
        ]}
      />
    </Card>
  )
}

function Versions({ asset, kind }: { asset: AssetRow; kind: AssetKinds }) {
  const { t } = useI18n()
  const all = useAssets(asset.task, kind, 'all')
  const mine = (all.data ?? []).filter((a) => a.name === asset.name).sort((a, b) => b.version - a.version)
  if (mine.length < 2) return null
  return (
    <Card title={t('asset.versions')}>
      <ul className="versions">
        {mine.map((a) => (
          <li key={a.version} aria-current={a.version === asset.version || undefined}>
            <Link href={`/tasks/${encodeURIComponent(a.task)}/${kind}/${encodeURIComponent(a.name)}@${a.version}`}>
              v{a.version}
            </Link>
            <span className="grow">{a.description}</span>
            <span className="faint">
              <Ago at={a.created} />
            </span>
          </li>
        ))}
      </ul>
    </Card>
  )
}

function Source({ asset, kind }: { asset: AssetRow; kind: AssetKinds }) {
  const { t } = useI18n()
  const content = useAssetContent(asset.task, kind, `${asset.name}@${asset.version}`)
  return (
    <Card title={t('editor.source')} actions={content.data !== undefined && <CopyButton text={content.data} />} flush>
      <ErrorNote error={content.error} onRetry={() => void content.refetch()} />
      {content.isPending ? (
        <Loading />
      ) : (
        <Editor label={t('editor.source')} value={content.data ?? ''} checks={asset.verification?.checks ?? []} />
      )}
    </Card>
  )
}

/** The graph has a route of its own: an answer about many assets may leave it out of their summaries. */
function ModelCard({ asset }: { asset: AssetRow }) {
  const graph = useModelGraph(asset.task, `${asset.name}@${asset.version}`, true)
  if (graph.isError) return null // the source below says the same
  return graph.data ? <GraphCard graph={graph.data} /> : <Loading />
}

function DatasetCard({ asset }: { asset: AssetRow }) {
  const { t, locale } = useI18n()
  const preview = useDatasetPreview(asset.task, `${asset.name}@${asset.version}`, true)
  if (preview.isPending) return <Loading />
  if (preview.isError) return <ErrorNote error={preview.error} onRetry={() => void preview.refetch()} />
  const { samples = [], classes = [], columns = [] } = preview.data
  const images = samples.filter((s) => typeof s.image === 'string')
  const rows = samples.filter((s) => Array.isArray(s.values))
  const targetName = text(datasetInfo(asset.verification?.summary ?? {}), 'target_name') ?? t('preview.target')
  const most = Math.max(1, ...classes.map((c) => c.count))
  return (
    <>
      {images.length > 0 && (
        <Card title={t('preview.samples')}>
          <ul className="samples">
            {images.map((s, i) => (
              <li key={i}>
                <PixelImage data={s.image!} width={s.width ?? 0} height={s.height ?? 0} label={labelOf(s)} />
                <span>{labelOf(s)}</span>
              </li>
            ))}
          </ul>
        </Card>
      )}
      {rows.length > 0 && <RowSamples rows={rows} columns={columns.map((c) => c.name)} target={targetName} />}
      {classes.length > 0 && (
        <Card title={t('preview.classes')}>
          <ul className="bars">
            {classes.map((c, i) => (
              <li key={i}>
                <span>{c.name ?? i}</span>
                <span className="meter-bar">
                  <i style={{ width: `${(100 * c.count) / most}%` }} />
                </span>
                <span className="num">{formatCount(c.count, locale)}</span>
              </li>
            ))}
          </ul>
        </Card>
      )}
      {columns.length > 0 && (
        <Card title={t('preview.columns')} flush>
          <div className="scroll-x" tabIndex={0} role="region" aria-label={t('preview.columns')}>
            <table className="table plain">
              <thead>
                <tr>
                  <th>{t('col.name')}</th>
                  <th>{t('col.type')}</th>
                  <th className="num">{t('stat.min')}</th>
                  <th className="num">{t('stat.mean')}</th>
                  <th className="num">{t('stat.max')}</th>
                </tr>
              </thead>
              <tbody>
                {columns.map((c) => (
                  <tr key={c.name}>
                    <td>{c.name}</td>
                    <td>{c.type}</td>
                    <td className="num">{formatValue(c.min, locale)}</td>
                    <td className="num">{formatValue(c.mean, locale)}</td>
                    <td className="num">{formatValue(c.max, locale)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </Card>
      )}
      {asset.verification && asset.verification.seconds > 0 && (
        <p className="faint">{t('verification.took', { time: formatDuration(asset.verification.seconds) })}</p>
      )}
    </>
  )
}

/** A class by its name or number, a value by itself. */
function labelOf(s: PreviewSample): string {
  return (
    s.label ?? (s.class !== undefined ? String(s.class) : (s.target ?? []).map((v) => formatValue(v, 'en')).join(', '))
  )
}

function RowSamples({ rows, columns, target }: { rows: PreviewSample[]; columns: string[]; target: string }) {
  const { t, locale } = useI18n()
  const width = Math.min(12, rows[0]?.values?.length ?? 0)
  return (
    <Card title={t('preview.samples')} flush>
      <div className="scroll-x" tabIndex={0} role="region" aria-label={t('preview.samples')}>
        <table className="table plain">
          <thead>
            <tr>
              <th>{target}</th>
              {Array.from({ length: width }, (_, i) => (
                <th key={i} className="num">
                  {columns[i] ?? i}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, 12).map((s, i) => (
              <tr key={i}>
                <td>{labelOf(s)}</td>
                {(s.values ?? []).slice(0, width).map((v, k) => (
                  <td key={k} className="num">
                    {formatValue(v, locale)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  )
}

/** Raw 8-bit grey or RGB, base64: painted, because no image format is involved. */
function PixelImage({ data, width, height, label }: { data: string; width: number; height: number; label: string }) {
  const paint = (canvas: HTMLCanvasElement | null) => {
    const c = canvas?.getContext('2d')
    if (!c || width < 1 || height < 1) return
    const bytes = Uint8Array.from(atob(data), (ch) => ch.charCodeAt(0))
    const channels = bytes.length >= width * height * 3 ? 3 : 1
    const image = c.createImageData(width, height)
    for (let i = 0; i < width * height; i++)
      for (let k = 0; k < 3; k++) image.data[i * 4 + k] = bytes[i * channels + (channels === 3 ? k : 0)] ?? 0
    for (let i = 3; i < image.data.length; i += 4) image.data[i] = 255
    c.putImageData(image, 0, 0)
  }
  return <canvas ref={paint} width={width} height={height} role="img" aria-label={label} />
}
