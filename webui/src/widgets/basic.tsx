import {
  useEffect,
  useId,
  useRef,
  useState,
  type ButtonHTMLAttributes,
  type InputHTMLAttributes,
  type ReactNode,
  type SelectHTMLAttributes,
} from 'react'
import { Link } from 'wouter'
import { useI18n, type MessageKey } from '../i18n'
import type { CheckStatus, Job, JobState } from '../api/types'
import { formatAgo, formatTimeFull } from '../lib/format'
import { Icon, type IconName } from './icons'

/* --- buttons --- */

type Tone = 'plain' | 'primary' | 'danger' | 'quiet'

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  tone?: Tone
  icon?: IconName
  busy?: boolean
}

export function Button({ tone = 'plain', icon, busy, children, disabled, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={`button ${tone}`}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
    >
      {busy ? <span className="spinner" aria-hidden="true" /> : icon && <Icon name={icon} />}
      {children}
    </button>
  )
}

export function LinkButton({
  href,
  tone = 'plain',
  icon,
  children,
}: {
  href: string
  tone?: Tone
  icon?: IconName
  children: ReactNode
}) {
  return (
    <Link href={href} className={`button ${tone}`}>
      {icon && <Icon name={icon} />}
      {children}
    </Link>
  )
}

export function IconButton({
  icon,
  label,
  ...rest
}: { icon: IconName; label: string } & ButtonHTMLAttributes<HTMLButtonElement>) {
  return (
    <button type="button" {...rest} className="icon-button" aria-label={label} title={label}>
      <Icon name={icon} />
    </button>
  )
}

/* --- fields --- */

interface FieldProps {
  label: string
  hint?: ReactNode
  error?: string | null
  children: (ids: { id: string; describedBy: string | undefined; invalid: boolean }) => ReactNode
}

export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId()
  const noteId = `${id}n`
  return (
    <div className={`field${error ? ' invalid' : ''}`}>
      <label htmlFor={id}>{label}</label>
      {children({ id, describedBy: hint || error ? noteId : undefined, invalid: Boolean(error) })}
      {(error || hint) && (
        <p id={noteId} className={error ? 'field-error' : 'field-hint'} role={error ? 'alert' : undefined}>
          {error || hint}
        </p>
      )}
    </div>
  )
}

type TextFieldProps = Omit<InputHTMLAttributes<HTMLInputElement>, 'onChange'> & {
  label: string
  hint?: ReactNode
  error?: string | null
  value: string
  onChange: (v: string) => void
}

export function TextField({ label, hint, error, onChange, ...rest }: TextFieldProps) {
  return (
    <Field label={label} hint={hint} error={error}>
      {({ id, describedBy, invalid }) => (
        <input
          {...rest}
          id={id}
          className="input"
          aria-describedby={describedBy}
          aria-invalid={invalid || undefined}
          onChange={(e) => onChange(e.target.value)}
        />
      )}
    </Field>
  )
}

type SelectFieldProps = Omit<SelectHTMLAttributes<HTMLSelectElement>, 'onChange'> & {
  label: string
  hint?: ReactNode
  error?: string | null
  options: readonly { value: string; label: string }[]
  onChange: (v: string) => void
}

export function SelectField({ label, hint, error, options, onChange, ...rest }: SelectFieldProps) {
  return (
    <Field label={label} hint={hint} error={error}>
      {({ id, describedBy }) => (
        <span className="select">
          <select
            {...rest}
            id={id}
            className="input"
            aria-describedby={describedBy}
            onChange={(e) => onChange(e.target.value)}
          >
            {options.map((o) => (
              <option key={o.value} value={o.value}>
                {o.label}
              </option>
            ))}
          </select>
          <Icon name="down" size={14} />
        </span>
      )}
    </Field>
  )
}

/** One of a few, as a row of buttons. */
export function Segmented<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string
  value: T
  options: readonly { value: T; label: string }[]
  onChange: (v: T) => void
}) {
  return (
    <div className="segmented" role="group" aria-label={label}>
      {options.map((o) => (
        <button key={o.value} type="button" aria-pressed={o.value === value} onClick={() => onChange(o.value)}>
          {o.label}
        </button>
      ))}
    </div>
  )
}

/* --- state --- */

const jobTone: Record<JobState, string> = {
  PENDING: 'wait',
  STARTING: 'run',
  RUNNING: 'run',
  COMPLETING: 'run',
  COMPLETED: 'good',
  FAILED: 'bad',
  CANCELLED: 'off',
  TIMEOUT: 'bad',
  NODE_FAIL: 'bad',
  OUT_OF_MEMORY: 'bad',
  DEADLINE: 'bad',
}

export function JobPill({ job }: { job: Pick<Job, 'state' | 'held'> }) {
  const { t } = useI18n()
  const held = job.held && job.state === 'PENDING'
  return (
    <span className={`pill ${held ? 'off' : jobTone[job.state]}`} data-state={job.state}>
      <i className={job.state === 'RUNNING' || job.state === 'STARTING' ? 'dot pulse' : 'dot'} aria-hidden="true" />
      {held ? t('state.held') : t(`state.${job.state}`)}
    </span>
  )
}

export function CheckIcon({ status }: { status: CheckStatus }) {
  const { t } = useI18n()
  return (
    <span className={`check-icon ${status}`} role="img" aria-label={t(`check.${status}`)}>
      <Icon name={status === 'passed' ? 'check' : status === 'warned' ? 'warn' : 'cross'} size={14} />
    </span>
  )
}

export function ProgressBar({ value, label, tone = 'run' }: { value: number; label: string; tone?: string }) {
  const percent = Math.max(0, Math.min(100, value * 100))
  return (
    <div
      className={`progress ${tone}`}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(percent)}
    >
      <span style={{ width: `${percent}%` }} />
    </div>
  )
}

/* --- messages --- */

const known: Record<string, MessageKey> = { unreachable: 'error.unreachable', unreadable: 'error.unreadable' }

export function errorText(error: unknown, t: (k: MessageKey) => string): string {
  if (error && typeof error === 'object' && 'title' in error && typeof error.title === 'string') {
    const key = known[error.title]
    if (key) return t(key)
  }
  return error instanceof Error && error.message ? error.message : t('error.unknown')
}

export function ErrorNote({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useI18n()
  if (!error) return null
  return (
    <div className="note bad" role="alert">
      <Icon name="warn" />
      <p>{errorText(error, t)}</p>
      {onRetry && (
        <Button tone="quiet" icon="refresh" onClick={onRetry}>
          {t('action.retry')}
        </Button>
      )}
    </div>
  )
}

export function Empty({
  icon,
  title,
  children,
  action,
}: {
  icon: IconName
  title: string
  children?: ReactNode
  action?: ReactNode
}) {
  return (
    <div className="empty">
      <span className="empty-icon">
        <Icon name={icon} size={22} />
      </span>
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {action && <div className="row">{action}</div>}
    </div>
  )
}

export function Loading({ rows = 4 }: { rows?: number }) {
  const { t } = useI18n()
  return (
    <div className="loading" role="status" aria-label={t('loading')}>
      {Array.from({ length: rows }, (_, i) => (
        <span key={i} />
      ))}
    </div>
  )
}

/* --- time --- */

export function useNow(every: number): number {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    if (every <= 0) return
    const timer = setInterval(() => setNow(Date.now()), every)
    return () => clearInterval(timer)
  }, [every])
  return now
}

export function Ago({ at }: { at: string | null }) {
  const { locale } = useI18n()
  const now = useNow(30000)
  if (!at) return <span className="faint">–</span>
  return (
    <time dateTime={at} title={formatTimeFull(at, locale)}>
      {formatAgo(at, locale, now)}
    </time>
  )
}

/* --- dialog --- */

/** The browser's own modal dialog: focus stays in it, Escape closes it, focus goes back where it was. */
export function Dialog({
  title,
  open,
  onClose,
  children,
  wide,
}: {
  title: string
  open: boolean
  onClose: () => void
  children: ReactNode
  wide?: boolean
}) {
  const { t } = useI18n()
  const ref = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const d = ref.current
    if (!d) return
    if (open && !d.open) {
      d.showModal()
      // The browser would choose the button that closes it.
      const first =
        d.querySelector<HTMLElement>('input, select, textarea') ?? d.querySelector<HTMLElement>('footer button')
      first?.focus()
    }
    if (!open && d.open) d.close()
  }, [open])
  return (
    <dialog ref={ref} className={wide ? 'dialog wide' : 'dialog'} aria-labelledby={id} onClose={onClose}>
      {open && (
        <>
          <header>
            <h2 id={id}>{title}</h2>
            <IconButton icon="cross" label={t('action.close')} onClick={onClose} />
          </header>
          {children}
        </>
      )}
    </dialog>
  )
}

export function Confirm({
  open,
  title,
  text,
  action,
  busy,
  error,
  onConfirm,
  onClose,
}: {
  open: boolean
  title: string
  text: string
  action: string
  busy?: boolean
  error?: unknown
  onConfirm: () => void
  onClose: () => void
}) {
  const { t } = useI18n()
  return (
    <Dialog title={title} open={open} onClose={onClose}>
      <p className="dialog-text">{text}</p>
      <ErrorNote error={error} />
      <footer>
        <Button onClick={onClose}>{t('action.keep')}</Button>
        <Button tone="danger" busy={busy} onClick={onConfirm}>
          {action}
        </Button>
      </footer>
    </Dialog>
  )
}

/* --- layout --- */

export function PageHead({
  trail,
  title,
  note,
  actions,
}: {
  trail?: readonly { href: string; label: string }[]
  title: ReactNode
  note?: ReactNode
  actions?: ReactNode
}) {
  const { t } = useI18n()
  return (
    <header className="page-head">
      {trail && (
        <nav className="trail" aria-label={t('nav.trail')}>
          {trail.map((c, i) => (
            <span key={c.href}>
              {i > 0 && <Icon name="chevron" size={12} />}
              <Link href={c.href}>{c.label}</Link>
            </span>
          ))}
        </nav>
      )}
      <div className="page-title">
        <h1>{title}</h1>
        {actions && <div className="row">{actions}</div>}
      </div>
      {note && <div className="page-note">{note}</div>}
    </header>
  )
}

export function Card({
  title,
  actions,
  children,
  flush,
}: {
  title?: ReactNode
  actions?: ReactNode
  children: ReactNode
  flush?: boolean
}) {
  return (
    <section className={flush ? 'card flush' : 'card'}>
      {title !== undefined && (
        <header className="card-head">
          <h2>{title}</h2>
          {actions && <div className="row">{actions}</div>}
        </header>
      )}
      {children}
    </section>
  )
}

/** Names and values in two columns. */
export function Facts({ items }: { items: readonly (readonly [string, ReactNode] | false | null | undefined)[] }) {
  return (
    <dl className="facts">
      {items.map((item) =>
        item ? (
          <div key={item[0]}>
            <dt>{item[0]}</dt>
            <dd>{item[1]}</dd>
          </div>
        ) : null,
      )}
    </dl>
  )
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · Trainyard` : 'Trainyard'
  }, [title])
}

export function useDebounced<T>(value: T, ms: number): T {
  const [late, setLate] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setLate(value), ms)
    return () => clearTimeout(timer)
  }, [value, ms])
  return late
}

export function CopyButton({ text, label }: { text: string; label?: string }) {
  const { t } = useI18n()
  const [done, setDone] = useState(false)
  // Only a secure context has a clipboard; elsewhere the button would do nothing, so there is none.
  if (!('clipboard' in navigator)) return null
  return (
    <IconButton
      icon={done ? 'check' : 'copy'}
      label={label ?? t('action.copy')}
      onClick={() =>
        void navigator.clipboard.writeText(text).then(() => {
          setDone(true)
          setTimeout(() => setDone(false), 1200)
        })
      }
    />
  )
}
