/* The frame around every page: where one can go, who one is, whether the live connection stands. */
import { useEffect, useRef, type ReactNode } from 'react'
import { Link, useLocation } from 'wouter'
import { useSignOut } from '../api/hooks'
import { useLiveQueue } from '../api/live'
import type { User } from '../api/types'
import { LANGUAGE_NAMES, LANGUAGES, useI18n } from '../i18n'
import { THEMES, usePreference, type Theme } from '../lib/preferences'
import { useStreamStatus } from '../stream/context'
import { IconButton } from '../widgets/basic'
import { Icon, Logo, type IconName } from '../widgets/icons'

const places = [
  { href: '/tasks', icon: 'tasks', label: 'nav.tasks' },
  { href: '/runs', icon: 'runs', label: 'nav.runs' },
  { href: '/nodes', icon: 'nodes', label: 'nav.nodes' },
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

export function Shell({ user, children }: { user: User; children: ReactNode }) {
  const { t } = useI18n()
  const [path] = useLocation()
  const signOut = useSignOut()
  const main = useRef<HTMLElement>(null)
  const first = useRef(true)
  useLiveQueue()
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
        <Link href="/tasks" className="brand">
          <Logo />
          <span>Trainyard</span>
        </Link>
        <nav aria-label={t('nav.main')}>
          {places.map((p) => (
            <Link
              key={p.href}
              href={p.href}
              aria-current={path.startsWith(p.href) || (p.href === '/runs' && path === '/compare') ? 'page' : undefined}
            >
              <Icon name={p.icon} size={17} />
              <span>{t(p.label)}</span>
            </Link>
          ))}
        </nav>
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
          </div>
        </div>
      </aside>
      <main ref={main} id="main" tabIndex={-1}>
        <Connection />
        {children}
      </main>
    </div>
  )
}
