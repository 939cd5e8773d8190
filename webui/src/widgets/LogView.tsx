import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useLayoutEffect, useMemo, useRef, useState, type ReactNode } from 'react'
import type { LiveLogs, LogLine } from '../api/live'
import { useI18n } from '../i18n'
import { formatClock } from '../lib/format'
import { saveText } from '../lib/save'
import { Button, ErrorNote, IconButton, Segmented } from './basic'

const ROW = 20

/** The tail of a run's output. Follows until one scrolls up, and again when one scrolls back to the end. */
export function LogView({ logs, name, live }: { logs: LiveLogs; name: string; live: boolean }) {
  const { t } = useI18n()
  const box = useRef<HTMLDivElement>(null)
  const [follow, setFollow] = useState(true)
  const [search, setSearch] = useState('')
  const [level, setLevel] = useState<'all' | 'stderr'>('all')
  const wanted = search.trim().toLowerCase()
  const { lines: all, version } = logs
  const lines = useMemo(() => {
    void version // the lines are one growing array; the version says that it grew
    return wanted || level !== 'all'
      ? all.filter(
          (l) => (level === 'all' || l.record.stream === level) && l.record.text.toLowerCase().includes(wanted),
        )
      : all
  }, [all, version, wanted, level])

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
        <Segmented
          label={t('log.level')}
          value={level}
          onChange={setLevel}
          options={[
            { value: 'all', label: t('log.all') },
            { value: 'stderr', label: t('log.err') },
          ]}
        />
        <span className="faint grow" role="status">
          {lines.length === all.length
            ? t('log.lines', { n: lines.length })
            : t('log.matches', { n: lines.length, all: all.length })}
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
          <p className="log-empty">
            {t(wanted || level !== 'all' ? 'log.none' : logs.loading ? 'loading' : 'log.empty')}
          </p>
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
                <code>{marked(line.record.text, wanted)}</code>
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

/** The text with what was searched for marked in it. */
function marked(text: string, wanted: string): ReactNode {
  if (!wanted) return text
  const parts: ReactNode[] = []
  const low = text.toLowerCase()
  let at = 0
  for (let hit = low.indexOf(wanted); hit >= 0; hit = low.indexOf(wanted, at)) {
    parts.push(text.slice(at, hit), <mark key={hit}>{text.slice(hit, hit + wanted.length)}</mark>)
    at = hit + wanted.length
  }
  parts.push(text.slice(at))
  return parts
}

function save(lines: readonly LogLine[], name: string): void {
  saveText(
    lines.map((l) => `${new Date(l.record.t * 1000).toISOString()} ${l.record.stream} ${l.record.text}\n`).join(''),
    `${name}.log`,
  )
}
