import { useState } from 'react'
import type { Finding } from '../api/problem'
import type { Check, Verification } from '../api/types'
import { useI18n } from '../i18n'
import { formatDuration } from '../lib/format'
import { CheckIcon } from './basic'

/** Findings of a refusal in the shape of checks, for servers that send only `errors`. */
export function checksOf(problem: { errors: Finding[]; verification: Verification | null }): Check[] {
  if (problem.verification?.checks.length) return problem.verification.checks
  return problem.errors.map((e) => ({
    name: '',
    status: 'failed',
    message: e.message,
    pointer: e.pointer ?? null,
    line: e.line ?? 0,
    column: e.column ?? 0,
    expected: null,
    actual: null,
    hint: e.hint ?? null,
    seconds: 0,
  }))
}

const order = { failed: 0, warned: 1, passed: 2 }

/** What is wrong first; what is right folded away behind its number. */
export function Checks({
  checks,
  seconds,
  onPlace,
}: {
  checks: readonly Check[]
  seconds?: number
  onPlace?: (line: number, column: number) => void
}) {
  const { t } = useI18n()
  const [all, setAll] = useState(false)
  const sorted = [...checks].sort((a, b) => order[a.status] - order[b.status])
  const passed = sorted.filter((c) => c.status === 'passed')
  const shown = all || passed.length <= 3 ? sorted : sorted.filter((c) => c.status !== 'passed')
  return (
    <ul className="checks">
      {shown.map((c, i) => (
        <li key={i} className={c.status} data-check={c.name} data-line={c.line}>
          <CheckIcon status={c.status} />
          <div>
            <p>{c.message}</p>
            {(c.expected || c.actual) && (
              <p className="check-detail">
                {c.expected && <>{t('check.expected', { value: c.expected })} </>}
                {c.actual && t('check.actual', { value: c.actual })}
              </p>
            )}
            {c.hint && <p className="check-detail">{c.hint}</p>}
            <p className="check-place">
              {c.line > 0 &&
                (onPlace ? (
                  <button type="button" className="link" onClick={() => onPlace(c.line, c.column)}>
                    {t('check.place', { line: c.line, column: c.column })}
                  </button>
                ) : (
                  <span>{t('check.place', { line: c.line, column: c.column })}</span>
                ))}
              {c.pointer && <code>{c.pointer}</code>}
              {c.name && <span>{c.name}</span>}
            </p>
          </div>
        </li>
      ))}
      {shown.length < sorted.length && (
        <li className="fold">
          <CheckIcon status="passed" />
          <button type="button" className="link" onClick={() => setAll(true)}>
            {t('check.more', { n: passed.length })}
          </button>
          {seconds !== undefined && <span className="faint">{formatDuration(seconds)}</span>}
        </li>
      )}
    </ul>
  )
}
