/* Numbers, sizes, durations and times for people. Everything takes the locale, nothing reads a global. */

export function formatBytes(n: number, locale: string): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte']
  const labels = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let i = 0
  while (n >= 1024 && i < units.length - 1) {
    n /= 1024
    i++
  }
  const digits = i === 0 || n >= 100 ? 0 : n >= 10 ? 1 : 2
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(n)} ${labels[i]}`
}

export function formatCount(n: number, locale: string): string {
  return new Intl.NumberFormat(locale).format(n)
}

/** 421642 -> "422k": the SI prefixes, because those of languages differ ("4.2m" is a small number to an engineer). */
export function formatCompact(n: number, locale: string): string {
  const prefixes = ['', 'k', 'M', 'G', 'T', 'P']
  let i = 0
  while (Math.abs(n) >= 999.5 && i < prefixes.length - 1) {
    n /= 1000
    i++
  }
  return new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 }).format(n) + prefixes[i]
}

/** A metric's value: four significant digits, exponents where plain digits would mislead. */
export function formatValue(v: number | null | undefined, locale: string): string {
  if (v === null || v === undefined) return '–'
  if (Number.isNaN(v)) return 'NaN'
  if (!Number.isFinite(v)) return v > 0 ? '∞' : '−∞'
  const a = Math.abs(v)
  if (a !== 0 && (a < 1e-3 || a >= 1e7)) return v.toExponential(2)
  if (a >= 1000) return new Intl.NumberFormat(locale, { maximumFractionDigits: 0 }).format(v)
  return new Intl.NumberFormat(locale, { maximumSignificantDigits: 4 }).format(v)
}

/** A name ending in accuracy is a share: shown as a percentage. */
export const isShare = (name: string): boolean => /(^|\/)(top_?\d+_)?accuracy$/.test(name)

export function formatMetric(name: string, v: number | null | undefined, locale: string): string {
  if (v === null || v === undefined || !Number.isFinite(v) || !isShare(name)) return formatValue(v, locale)
  return new Intl.NumberFormat(locale, {
    style: 'percent',
    minimumFractionDigits: 2,
    maximumFractionDigits: 2,
  }).format(v)
}

/** 3725 -> "1h 2m"; two units at most, which is what one reads anyway. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '–'
  if (seconds < 1) return `${Math.round(seconds * 1000)}ms`
  if (seconds < 10) return `${seconds.toFixed(1)}s`
  const s = Math.round(seconds)
  if (s < 60) return `${s}s`
  if (s < 3600) return `${Math.floor(s / 60)}m ${s % 60}s`
  if (s < 86400) return `${Math.floor(s / 3600)}h ${Math.floor((s % 3600) / 60)}m`
  return `${Math.floor(s / 86400)}d ${Math.floor((s % 86400) / 3600)}h`
}

/** In the viewer's own zone; today's times without a date. */
export function formatTime(at: string | number, locale: string, now = Date.now()): string {
  const d = new Date(at)
  if (Number.isNaN(d.getTime())) return '–'
  const sameDay = d.toDateString() === new Date(now).toDateString()
  return new Intl.DateTimeFormat(
    locale,
    sameDay
      ? { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false }
      : { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hour12: false },
  ).format(d)
}

export function formatTimeFull(at: string | number, locale: string): string {
  const d = new Date(at)
  if (Number.isNaN(d.getTime())) return ''
  return new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'long' }).format(d)
}

/** "5 minutes ago" */
export function formatAgo(at: string, locale: string, now = Date.now()): string {
  const seconds = (new Date(at).getTime() - now) / 1000
  if (Number.isNaN(seconds)) return '–'
  const f = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' })
  const a = Math.abs(seconds)
  if (a < 45) return f.format(0, 'second')
  if (a < 2700) return f.format(Math.round(seconds / 60), 'minute')
  if (a < 79200) return f.format(Math.round(seconds / 3600), 'hour')
  if (a < 86400 * 26) return f.format(Math.round(seconds / 86400), 'day')
  if (a < 86400 * 320) return f.format(Math.round(seconds / 86400 / 30), 'month')
  return f.format(Math.round(seconds / 86400 / 365), 'year')
}

/** Log lines carry seconds since 1970; milliseconds matter there. */
export function formatClock(t: number): string {
  const d = new Date(t * 1000)
  if (Number.isNaN(d.getTime())) return ''
  const p = (n: number, w = 2) => String(n).padStart(w, '0')
  return `${p(d.getHours())}:${p(d.getMinutes())}:${p(d.getSeconds())}.${p(d.getMilliseconds(), 3)}`
}
