/* The frame around every page: where one can go, who one is, whether the live connection stands. */
import { lazy, Suspense, useEffect, useRef, useState, type ReactNode } from 'react'
import { Link, useLocation } from 'wouter'
import { useSignOut } from '../api/hooks'
import { useLiveQueue } from '../api/live'
import type { User } from '../api/types'
import { LANGUAGE_NAMES, LANGUAGES, useI18n } from '../i18n'
import { THEMES, usePreference, type Theme } from '../lib/preferences'
import { useStreamStatus } from '../stream/context'
import { IconButton } from '../widgets/basic'
import { Icon, Logo, type IconName } from '../widgets/icons'

const Palette = lazy(() => import('../widgets/Palette'))

const places = [
  { href: '/', icon: 'home', label: 'nav.home' },
  { href: '/tasks', icon: 'tasks', label: 'nav.tasks' },
  { href: '/runs', icon: 'runs', label: 'nav.runs' },
  { href: '/nodes', icon: 'nodes', label: 'nav.nodes' },
  { href: '/settings', icon: 'settings', label: 'nav.settings' },
] as const

export function ThemeButton() {
  const { t } = useI18n()
  const [theme, setTheme] = usePreference('theme', THEMES, 'system')
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!
  const icons: Record<Theme, IconName> = { system: 'system', light: 'sun', dark: 'moon' }
  return <IconButton icon={icons[theme]} label={t(`theme.${theme}`)} onClick={() => setTheme(next)} />
}

export function LanguageButton() {
  const { language, setLanguage } = useI18n()
  const next = LANGUAGES[(LANGUAGES.indexOf(language) + 1) % LANGUAGES.length]!
  return (
    <button type="button" className="icon-button text" lang={next} onClick={() => setLanguage(next)}>
      <Icon name="globe" />
      {LANGUAGE_NAMES[next]}
    </button>
  )
}

function Connection() {
  const { t } = useI18n()
  const status = useStreamStatus()
  return (
    <div role="status" className="connection" data-stream={status}>
      {status === 'waiting' && (
        <p className="note warn slim">
          <span className="spinner" aria-hidden="true" />
          {t('stream.waiting')}
        </p>
      )}
    </div>
  )
}

/** Where a key after `g` goes. */
const GO: Record<string, string> = { d: '/', t: '/tasks', r: '/runs', n: '/nodes', s: '/settings' }

/** Keys that work everywhere but where one writes. */
function useShortcuts(open: (what: 'palette' | 'keys') => void): void {
  const [, go] = useLocation()
  useEffect(() => {
    let last = { key: '', at: 0 }
    const down = (e: KeyboardEvent) => {
      if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'k') {
        e.preventDefault()
        open('palette')
        return
      }
      const at = e.target as HTMLElement
      if (e.ctrlKey || e.metaKey || e.altKey || at.closest('input, textarea, select, dialog, .react-flow')) return
      const before = e.timeStamp - last.at < 1200 ? last.key : ''
      last = { key: e.key, at: e.timeStamp }
      const place = before === 'g' ? GO[e.key] : undefined
      if (place) go(place)
      else if (e.key === '?') open('keys')
      else if (e.key === '/') {
        const search = document.querySelector<HTMLInputElement>('main input[type="search"]')
        if (!search) return
        e.preventDefault()
        search.focus()
      }
    }
    addEventListener('keydown', down)
    return () => removeEventListener('keydown', down)
  }, [go, open])
}

const isAt = (path: string, href: string): boolean =>
  href === '/' ? path === '/' : path.startsWith(href) || (href === '/runs' && path === '/compare')

export function Shell({ user, children }: { user: User; children: ReactNode }) {
  const { t } = useI18n()
  const [path] = useLocation()
  const signOut = useSignOut()
  const main = useRef<HTMLElement>(null)
  const first = useRef(true)
  const [opened, setOpened] = useState<'palette' | 'keys' | null>(null)
  useLiveQueue()
  useShortcuts(setOpened)
  useEffect(() => {
    // A new page starts at its top, and a screen reader at its beginning.
    if (first.current) first.current = false
    else main.current?.focus({ preventScroll: true })
    scrollTo(0, 0)
  }, [path])

  return (
    <div className="shell">
      <a
        className="skip"
        href="#main"
        onClick={(e) => {
          e.preventDefault()
          main.current?.focus()
        }}
      >
        {t('nav.skip')}
      </a>
      <aside className="side">
        <Link href="/" className="brand">
          <Logo />
          <span>Trainyard</span>
        </Link>
        <nav aria-label={t('nav.main')}>
          {places.map((p) => (
            <Link key={p.href} href={p.href} aria-current={isAt(path, p.href) ? 'page' : undefined}>
              <Icon name={p.icon} size={17} />
              <span>{t(p.label)}</span>
            </Link>
          ))}
        </nav>
        <button
          type="button"
          className="side-search"

          onClick={() => setOpened('palette')}
        >
          <Icon name="search" size={15} />
          <span>{t('palette.open')}</span>
          <kbd>{t('palette.key')}</kbd>
        </button>
        <div className="side-foot">
          <div className="who">
            <span className="avatar" aria-hidden="true">
              {user.name.slice(0, 1).toUpperCase()}
            </span>
            <span className="who-name" title={user.name}>
              {user.name}
            </span>
            <IconButton icon="exit" label={t('nav.signout')} onClick={() => signOut.mutate()} />
          </div>
          <div className="row">
            <ThemeButton />
            <LanguageButton />
            <IconButton icon="help" label={t('keys.title')} onClick={() => setOpened('keys')} />
          </div>
        </div>
      </aside>
      {opened && (
        <Suspense fallback={null}>
          <Palette what={opened} onClose={() => setOpened(null)} />
        </Suspense>
      )}
      <main ref={main} id="main" tabIndex={-1}>
        <Connection />
        {children}
      </main>
    </div>
  )
}
