/* What every form that sends an asset does: send, show how far it is, keep everything when it is refused. */
import { useEffect, useRef, useState } from 'react'
import { useLocation } from 'wouter'
import { useUploadAsset } from '../../api/hooks'
import { Problem } from '../../api/problem'
import type { AssetKinds } from '../../api/types'
import { useI18n } from '../../i18n'
import { formatBytes, formatDuration } from '../../lib/format'
import { Button, ErrorNote, ProgressBar } from '../../widgets/basic'
import { Checks, checksOf } from '../../widgets/Checks'

export function useSend(task: string, kind: AssetKinds) {
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

export function UploadProgress({
  sent,
  stop,
}: {
  sent: { bytes: number; total: number; rate: number }
  stop: () => void
}) {
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

export function Refusal({ error, onPlace }: { error: unknown; onPlace?: (line: number, column: number) => void }) {
  if (!error) return null
  const checks = error instanceof Problem ? checksOf(error) : []
  return (
    <>
      <ErrorNote error={error} />
      {checks.length > 0 && <Checks checks={checks} onPlace={onPlace} />}
    </>
  )
}
