import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useLayoutEffect, useRef, useState } from 'react'
import type { LiveLogs, LogLine } from '../api/live'
import { useI18n } from '../i18n'
import { formatClock } from '../lib/format'
import { Button, ErrorNote, IconButton } from './basic'

const ROW = 20

/** The tail of a run's output. Follows until one scrolls up, and again when one scrolls back to the end. */
export function LogView({ logs, name, live }: { logs: LiveLogs; name: string; live: boolean }) {
  const { t } = useI18n()
  const box = useRef<HTMLDivElement>(null)
  const [follow, setFollow] = useState(true)
  const [search, setSearch] = useState('')
  const wanted = search.trim().toLowerCase()
  const lines = wanted ? logs.lines.filter((l) => l.record.text.toLowerCase().includes(wanted)) : logs.lines

  // The virtualizer keeps its own state outside of React's rules; nothing here is memoised on it.
  // eslint-disable-next-line react-hooks/incompatible-library
  const rows = useVirtualizer({
    count: lines.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    overscan: 30,
  })

  useLayoutEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight
  }, [follow, lines.length, logs.version])

  // Only a person's own gesture ends following; growth of the content also fires scroll events.
  useEffect(() => {
    const el = box.current
    if (!el) return
    const atEnd = () => el.scrollHeight - el.scrollTop - el.clientHeight < ROW
    const up = (e: WheelEvent) => {
      if (e.deltaY < 0) setFollow(false)
    }
    const key = (e: KeyboardEvent) => {
      if (['ArrowUp', 'PageUp', 'Home'].includes(e.key)) setFollow(false)
    }
    const touch = () => setFollow(false)
    let last = el.scrollTop
    const scroll = () => {
      if (atEnd()) setFollow(true)
      else if (el.scrollTop < last - ROW) setFollow(false)
      last = el.scrollTop
    }
    el.addEventListener('wheel', up, { passive: true })
    el.addEventListener('keydown', key)
    el.addEventListener('touchmove', touch, { passive: true })
    el.addEventListener('scroll', scroll, { passive: true })
    return () => {
      el.removeEventListener('wheel', up)
      el.removeEventListener('keydown', key)
      el.removeEventListener('touchmove', touch)
      el.removeEventListener('scroll', scroll)
    }
  }, [])

  return (
    <div className="log">
      <div className="log-bar">
        <input
          className="input small"
          type="search"
          placeholder={t('log.search')}
          aria-label={t('log.search')}
          value={search}
          onChange={(e) => setSearch(e.target.value)}
        />
        <span className="faint grow" role="status">
          {t('log.lines', { n: lines.length })}
        </span>
        {logs.more && (
          <Button tone="quiet" onClick={logs.loadEarlier}>
            {t('log.earlier')}
          </Button>
        )}
        <IconButton
          icon="download"
          label={t('log.save')}
          disabled={logs.lines.length === 0}
          onClick={() => save(logs.lines, name)}
        />
      </div>
      <ErrorNote error={logs.error} />
      <div
        ref={box}
        className="log-lines"
        tabIndex={0}
        role="log"
        aria-label={t('log.title')}
        aria-live="off"
        data-following={follow}
        data-lines={logs.lines.length}
      >
        {lines.length === 0 && (
          <p className="log-empty">{t(wanted ? 'log.none' : logs.loading ? 'loading' : 'log.empty')}</p>
        )}
        <div style={{ height: rows.getTotalSize() }}>
          {rows.getVirtualItems().map((item) => {
            const line = lines[item.index]!
            return (
              <div
                key={line.seq}
                ref={rows.measureElement}
                data-index={item.index}
                className={line.record.stream === 'stderr' ? 'log-line stderr' : 'log-line'}
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <span>{formatClock(line.record.t)}</span>
                <code>{line.record.text}</code>
              </div>
            )
          })}
        </div>
      </div>
      {!follow && live && (
        <button type="button" className="log-follow" onClick={() => setFollow(true)}>
          {t('log.follow')}
        </button>
      )}
    </div>
  )
}

function save(lines: readonly LogLine[], name: string): void {
  const text = lines.map((l) => `${new Date(l.record.t * 1000).toISOString()} ${l.record.stream} ${l.record.text}\n`)
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob(text, { type: 'text/plain' }))
  link.download = `${name}.log`
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10000)
}
