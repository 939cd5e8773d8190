import { memo } from 'react'
import { useArtifacts, artifactUrl, useZip } from '../../api/hooks'
import { isFinal, type Artifact, type Job } from '../../api/types'
import { useI18n } from '../../i18n'
import { formatBytes } from '../../lib/format'
import { Button, Card, ErrorNote } from '../../widgets/basic'
import { Icon } from '../../widgets/icons'

const weightiness = (a: Artifact): number => (a.name.startsWith('weights') ? 0 : a.name === 'report.json' ? 1 : 2)

/** What one came for first; checkpoints are many and seldom wanted, so they are folded. */
export const Results = memo(function Results({ job }: { job: Job }) {
  const { t, locale } = useI18n()
  const artifacts = useArtifacts(job.id)
  const zip = useZip()
  const items = artifacts.data ?? []
  const checkpoints = items.filter((a) => a.name.startsWith('checkpoints/'))
  const files = items
    .filter((a) => !checkpoints.includes(a))
    .sort((a, b) => weightiness(a) - weightiness(b) || a.name.localeCompare(b.name))
  const size = items.reduce((n, a) => n + a.size, 0)
  return (
    <Card
      title={t('artifacts.title')}
      flush
      actions={
        items.length > 1 && (
          <Button
            tone="quiet"
            icon="download"
            busy={zip.isPending}
            onClick={() =>
              zip.mutate({
                name: `run-${job.id}.zip`,
                // Two attempts may have left a file of the same name: the newest is the one meant.
                entries: [...new Map(items.map((a) => [a.name, a])).values()].map((a) => ({
                  path: `run-${job.id}/${a.name}`,
                  url: artifactUrl(job.id, a.name),
                })),
              })
            }
          >
            {zip.isPending
              ? t('artifacts.zipping', { n: zip.progress, all: items.length })
              : t('artifacts.zip', { size: formatBytes(size, locale) })}
          </Button>
        )
      }
    >
      <ErrorNote error={artifacts.error} onRetry={() => void artifacts.refetch()} />
      <ErrorNote error={zip.error} />
      {items.length === 0 && (
        <p className="card-text faint">{t(isFinal(job.state) ? 'artifacts.none' : 'artifacts.later')}</p>
      )}
      <ArtifactList id={job.id} items={files} />
      {checkpoints.length > 0 && (
        <details className="artifacts-more">
          <summary>{t('artifacts.checkpoints', { n: checkpoints.length })}</summary>
          <ArtifactList id={job.id} items={checkpoints} />
        </details>
      )}
    </Card>
  )
})

function ArtifactList({ id, items }: { id: number; items: readonly Artifact[] }) {
  const { locale } = useI18n()
  if (items.length === 0) return null
  return (
    <ul className="artifacts">
      {items.map((a) => (
        <li key={`${a.attempt} ${a.name}`}>
          <a href={artifactUrl(id, a.name)} download={a.name.split('/').at(-1)} data-artifact={a.name}>
            <Icon name="download" size={15} />
            <span className="grow">{a.name}</span>
            <span className="faint num">{formatBytes(a.size, locale)}</span>
          </a>
        </li>
      ))}
    </ul>
  )
}
