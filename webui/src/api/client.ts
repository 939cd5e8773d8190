/* The only place that talks HTTP. Every failure is a Problem: what RFC 9457 says, whoever made it. */
import { problemFrom, Problem } from './problem'

export type Query = Record<string, string | number | boolean | null | undefined>
export interface RequestOptions {
  query?: Query
  json?: unknown
  body?: Blob | string
  contentType?: string
  signal?: AbortSignal
  idempotencyKey?: string
}

export const BASE = '/api/v1'

export function url(path: string, query?: Query): string {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(query ?? {})) if (v !== undefined && v !== null && v !== '') q.set(k, String(v))
  const s = q.toString()
  return BASE + path + (s ? `?${s}` : '')
}

/** A path segment from a name. `@` is legal in a path and stays readable. */
export const seg = (name: string | number): string => encodeURIComponent(name).replaceAll('%40', '@')

/** X-Trainyard proves that the request is this page's own: another site cannot set it. */
const OWN = { 'X-Trainyard': '1' }

export async function request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
  const headers: Record<string, string> = { ...OWN, Accept: 'application/json' }
  let body: BodyInit | undefined = options.body
  if (options.json !== undefined) {
    headers['Content-Type'] = 'application/json'
    body = JSON.stringify(options.json)
  } else if (options.contentType) headers['Content-Type'] = options.contentType
  if (options.idempotencyKey) headers['Idempotency-Key'] = options.idempotencyKey

  let response: Response
  try {
    response = await fetch(url(path, options.query), {
      method,
      headers,
      body,
      signal: options.signal,
      credentials: 'same-origin',
    })
  } catch (e) {
    if (options.signal?.aborted) throw e
    throw new Problem(0, 'unreachable', '')
  }
  if (!response.ok) throw problemFrom(response.status, response.statusText, await response.text())
  if (response.status === 204) return undefined as T
  return (await response.json()) as T
}

export async function requestText(path: string, signal?: AbortSignal): Promise<string> {
  const response = await fetch(url(path), { headers: OWN, credentials: 'same-origin', signal })
  if (!response.ok) throw problemFrom(response.status, response.statusText, await response.text())
  return response.text()
}

/** fetch cannot tell how much of a body has gone out, XMLHttpRequest can. progress: bytes sent, bytes in all. */
export function upload<T>(
  path: string,
  query: Query,
  body: Blob,
  progress: (sent: number, total: number) => void,
  signal?: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const x = new XMLHttpRequest()
    x.open('POST', url(path, query))
    for (const [k, v] of Object.entries(OWN)) x.setRequestHeader(k, v)
    x.setRequestHeader('Content-Type', 'application/octet-stream')
    x.upload.onprogress = (e) => progress(e.loaded, e.lengthComputable ? e.total : body.size)
    x.upload.onload = () => progress(body.size, body.size)
    x.onload = () => {
      if (x.status >= 200 && x.status < 300) {
        try {
          resolve(JSON.parse(x.responseText) as T)
        } catch {
          reject(new Problem(x.status, 'unreadable', ''))
        }
      } else reject(problemFrom(x.status, x.statusText, x.responseText))
    }
    x.onerror = () => reject(new Problem(0, 'unreachable', ''))
    x.onabort = () => reject(new DOMException('aborted', 'AbortError'))
    signal?.addEventListener('abort', () => x.abort())
    x.send(body)
  })
}
