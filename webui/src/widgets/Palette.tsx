/* Everything by its name: pages, tasks, runs and what can be done. Also the sheet of keys. */
import { useId, useMemo, useState, type KeyboardEvent } from 'react'
import { useLocation } from 'wouter'
import { useJobs, useSignOut, useTasks } from '../api/hooks'
import { LANGUAGE_NAMES, LANGUAGES, useI18n, type MessageKey } from '../i18n'
import { THEMES, writePreference } from '../lib/preferences'
import { Dialog, useDebounced } from './basic'
import { Icon, type IconName } from './icons'

interface Entry {
  key: string
  icon: IconName
  label: string
  note?: string
  act: () => void
}

const PLACES: readonly [string, IconName, MessageKey][] = [
  ['/', 'home', 'nav.home'],
  ['/tasks', 'tasks', 'nav.tasks'],
  ['/runs', 'runs', 'nav.runs'],
  ['/runs?state=PENDING', 'queue', 'nav.queue'],
  ['/nodes', 'nodes', 'nav.nodes'],
  ['/settings', 'settings', 'nav.settings'],
]

function useEntries(q: string, done: () => void): Entry[] {
  const { t, setLanguage } = useI18n()
  const [, go] = useLocation()
  const signOut = useSignOut()
  const late = useDebounced(q, 150)
  const tasks = useTasks(late)
  const jobs = useJobs({})
  return useMemo(() => {
    const open = (href: string) => () => {
      done()
      go(href)
    }
    const doing = (f: () => void) => () => {
      done()
      f()
    }
    const fixed: Entry[] = [
      ...PLACES.map(([href, icon, key]) => ({ key: href, icon, label: t(key), act: open(href) })),
      { key: 'new task', icon: 'plus', label: t('tasks.new'), act: open('/tasks?new=1') },
      ...THEMES.map((x): Entry => ({
        key: `theme ${x}`,
        icon: x === 'dark' ? 'moon' : x === 'light' ? 'sun' : 'system',
        label: t(`theme.${x}`),
        act: doing(() => writePreference('theme', x)),
      })),
      ...LANGUAGES.map((x): Entry => ({
        key: `language ${x}`,
        icon: 'globe',
        label: LANGUAGE_NAMES[x],
        act: doing(() => setLanguage(x)),
      })),
      { key: 'sign out', icon: 'exit', label: t('nav.signout'), act: doing(() => signOut.mutate()) },
    ]
    const words = q.toLowerCase().split(/\s+/).filter(Boolean)
    const fits = (e: Entry) => words.every((w) => `${e.label} ${e.note ?? ''} ${e.key}`.toLowerCase().includes(w))
    const found: Entry[] = [
      ...(tasks.data?.pages[0]?.items ?? []).map((x): Entry => ({
        key: `task ${x.name}`,
        icon: 'tasks',
        label: x.name,
        note: x.description,
        act: open(`/tasks/${encodeURIComponent(x.name)}`),
      })),
      ...(jobs.data?.pages.flatMap((p) => p.items) ?? []).map((j): Entry => ({
        key: `run ${j.id}`,
        icon: 'runs',
        label: `#${j.id} ${j.name}`,
        note: [j.task, t(`state.${j.state}`)].filter(Boolean).join(' · '),
        act: open(`/runs/${j.id}`),
      })),
    ]
    return words.length ? [...fixed, ...found].filter(fits).slice(0, 40) : [...fixed.slice(0, 7), ...found.slice(0, 8)]
    // doing and going are made anew each render and always do the same
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [q, t, tasks.data, jobs.data])
}

function Finder({ onClose }: { onClose: () => void }) {
  const { t } = useI18n()
  const [q, setQ] = useState('')
  const [at, setAt] = useState(0)
  const entries = useEntries(q, onClose)
  const id = useId()
  const chosen = Math.min(at, entries.length - 1)
  const keys = (e: KeyboardEvent) => {
    const move = e.key === 'ArrowDown' ? 1 : e.key === 'ArrowUp' ? -1 : 0
    if (move && entries.length) {
      e.preventDefault()
      setAt((chosen + move + entries.length) % entries.length)
    } else if (e.key === 'Enter') {
      e.preventDefault()
      entries[chosen]?.act()
    }
  }
  return (
    <div className="palette" onKeyDown={keys}>
      <input
        className="input"
        role="combobox"
        aria-expanded="true"
        aria-controls={id}
        aria-activedescendant={entries.length ? `${id}-${chosen}` : undefined}
        aria-label={t('palette.open')}
        placeholder={t('palette.hint')}
        value={q}
        onChange={(e) => {
          setQ(e.target.value)
          setAt(0)
        }}
      />
      <ul id={id} role="listbox" aria-label={t('palette.results')}>
        {entries.map((e, i) => (
          <li
            key={e.key}
            id={`${id}-${i}`}
            role="option"
            aria-selected={i === chosen}
            ref={i === chosen ? (el) => el?.scrollIntoView({ block: 'nearest' }) : undefined}
            onPointerMove={() => setAt(i)}
            onClick={e.act}
          >
            <Icon name={e.icon} />
            <span>{e.label}</span>
            {e.note && <span className="faint">{e.note}</span>}
          </li>
        ))}
      </ul>
      {entries.length === 0 && <p className="faint">{t('palette.none')}</p>}
    </div>
  )
}

const KEYS: readonly [string[], MessageKey][] = [
  [['Ctrl', 'K'], 'keys.palette'],
  [['?'], 'keys.keys'],
  [['/'], 'keys.search'],
  [['g', 'd'], 'nav.home'],
  [['g', 't'], 'nav.tasks'],
  [['g', 'r'], 'nav.runs'],
  [['g', 'n'], 'nav.nodes'],
  [['g', 's'], 'nav.settings'],
  [['Ctrl', 'Z'], 'keys.undo'],
  [['Ctrl', 'Shift', 'Z'], 'keys.redo'],
  [['Ctrl', 'C'], 'keys.copy'],
  [['Ctrl', 'V'], 'keys.paste'],
  [['Delete'], 'keys.delete'],
  [['Esc'], 'keys.close'],
]

function Keys() {
  const { t } = useI18n()
  return (
    <dl className="keys">
      {KEYS.map(([keys, label]) => (
        <div key={label}>
          <dt>
            {keys.map((k) => (
              <kbd key={k}>{k}</kbd>
            ))}
          </dt>
          <dd>{t(label)}</dd>
        </div>
      ))}
    </dl>
  )
}

export default function Palette({ what, onClose }: { what: 'palette' | 'keys'; onClose: () => void }) {
  const { t } = useI18n()
  return (
    <Dialog title={t(what === 'keys' ? 'keys.title' : 'palette.open')} open onClose={onClose}>
      {what === 'keys' ? <Keys /> : <Finder onClose={onClose} />}
    </Dialog>
  )
}
