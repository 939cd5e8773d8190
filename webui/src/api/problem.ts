/* What went wrong, as RFC 9457 says it, whoever said it. */
import type { Verification } from './types'

export interface Finding {
  pointer?: string | null
  line?: number
  column?: number
  message: string
  hint?: string | null
}

export class Problem extends Error {
  readonly status: number
  readonly title: string
  readonly detail: string
  readonly errors: Finding[]
  readonly verification: Verification | null

  constructor(
    status: number,
    title: string,
    detail: string,
    errors: Finding[] = [],
    verification?: Verification | null,
  ) {
    super(detail || title)
    this.name = 'Problem'
    this.status = status
    this.title = title
    this.detail = detail
    this.errors = errors
    this.verification = verification ?? null
  }
}

/** Reads an answer that is not 2xx; a body that is not a problem document (a proxy's page) still makes a sentence. */
export function problemFrom(status: number, statusText: string, body: string): Problem {
  try {
    const p: unknown = JSON.parse(body)
    if (p && typeof p === 'object') {
      const o = p as Record<string, unknown>
      const errors = Array.isArray(o.errors) ? (o.errors as Finding[]) : []
      return new Problem(
        status,
        typeof o.title === 'string' ? o.title : statusText,
        typeof o.detail === 'string' ? o.detail : '',
        errors,
        (o.verification as Verification | undefined) ?? null,
      )
    }
  } catch {
    /* not JSON: fall through */
  }
  return new Problem(status, statusText || `HTTP ${status}`, '')
}
