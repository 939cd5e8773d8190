import { memo } from 'react'
import { useJobEvents } from '../../api/hooks'
import type { JobEvent } from '../../api/types'
import { useI18n, type MessageKey, type Translate } from '../../i18n'
import { formatClock, formatTime } from '../../lib/format'
import { Card, ErrorNote } from '../../widgets/basic'

const names: Record<string, MessageKey> = {
  submit: 'event.submit',
  place: 'event.place',
  run: 'event.run',
  complete: 'event.complete',
  succeed: 'event.succeed',
  fail: 'event.fail',
  cancel: 'event.cancel',
  hold: 'event.hold',
  release: 'event.release',
  requeue: 'event.requeue',
}

export const Timeline = memo(function Timeline({ id }: { id: number }) {
  const { t, locale } = useI18n()
  const events = useJobEvents(id)
  return (
    <Card title={t('timeline.title')}>
      <ErrorNote error={events.error} onRetry={() => void events.refetch()} />
      {events.data && events.data.length === 0 && <p className="faint">{t('timeline.empty')}</p>}
      <ol className="timeline">
        {events.data?.map((e) => {
          const name = names[e.event]
          const detail = detailOf(e, t)
          return (
            <li key={e.seq}>
              <time dateTime={e.at} title={formatClock(Date.parse(e.at) / 1000)}>
                {formatTime(e.at, locale)}
              </time>
              <div>
                <b>{name ? t(name) : e.event.replaceAll('_', ' ')}</b>
                {!name && e.to && e.to !== e.from && <span className="faint"> → {t(`state.${e.to}`)}</span>}
                {e.attempt > 1 && <span className="label">{t('run.attempt', { n: e.attempt })}</span>}
                {detail && <p className="faint">{detail}</p>}
              </div>
            </li>
          )
        })}
      </ol>
    </Card>
  )
})

/** The known members as words, the others as they are. */
function detailOf(e: JobEvent, t: Translate): string {
  const parts: string[] = []
  for (const [k, v] of Object.entries(e.detail ?? {})) {
    if (v === null || v === '' || (k === 'reason' && v === 'exit')) continue
    if (k === 'by' && typeof v === 'string') parts.push(t('event.by', { name: v }))
    else if (k === 'exit_code') parts.push(t('event.exit', { code: String(v) }))
    else if (k === 'allocation' && Array.isArray(v)) {
      const nodes = v.map((a: { node?: string; ranks?: number }) => `${a.node ?? '?'} × ${a.ranks ?? 1}`)
      parts.push(t('event.on', { nodes: nodes.join(', ') }))
    } else parts.push(`${k.replaceAll('_', ' ')}: ${typeof v === 'object' ? JSON.stringify(v) : String(v)}`)
  }
  return parts.join(' · ')
}
