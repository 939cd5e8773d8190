/* One short line about an asset from its verification's summary. The summary is the trainer's: every member may be absent. */
import type { Asset } from '../api/types'
import { formatCompact, formatCount } from './format'

type Summary = Record<string, unknown>

export const num = (s: Summary, key: string): number | null => (typeof s[key] === 'number' ? s[key] : null)
export const text = (s: Summary, key: string): string | null => (typeof s[key] === 'string' ? s[key] : null)
export const list = (s: Summary, key: string): unknown[] => (Array.isArray(s[key]) ? s[key] : [])
const object = (s: Summary, key: string): Summary =>
  s[key] && typeof s[key] === 'object' && !Array.isArray(s[key]) ? (s[key] as Summary) : {}

/** The dataset's own description, wherever the trainer puts it. */
export function datasetInfo(a: Asset): Summary {
  const s = a.verification?.summary ?? {}
  const inner = object(s, 'dataset_info')
  return Object.keys(inner).length ? inner : object(s, 'info').feature_shape ? object(s, 'info') : s
}

export function sampleCounts(info: Summary): { train: number | null; test: number | null } {
  const s = info.samples
  if (Array.isArray(s)) return { train: Number(s[0] ?? 0), test: s.length > 1 ? Number(s[1]) : null }
  if (s && typeof s === 'object') return { train: num(s as Summary, 'train'), test: num(s as Summary, 'test') }
  return { train: typeof s === 'number' ? s : null, test: null }
}

export function summaryLine(a: Asset, locale: string): string {
  const s = a.verification?.summary ?? {}
  if (a.kind === 'dataset') {
    const info = datasetInfo(a)
    const { train, test } = sampleCounts(info)
    const shape = list(info, 'feature_shape')
    return [
      train !== null && `${formatCount(train, locale)}${test !== null ? ` + ${formatCount(test, locale)}` : ''}`,
      shape.length > 0 && shape.join('×'),
      num(info, 'classes') && `${num(info, 'classes')} classes`,
    ]
      .filter(Boolean)
      .join(' · ')
  }
  if (a.kind === 'model') {
    const p = num(s, 'parameters')
    return p === null ? '' : `${formatCompact(p, locale)} parameters`
  }
  if (a.kind === 'algorithm') {
    const o = s.optimizer
    const name = typeof o === 'string' ? o : o && typeof o === 'object' ? text(o as Summary, 'type') : null
    return [
      name,
      num(s, 'batch_size') && `batch ${num(s, 'batch_size')}`,
      num(s, 'epochs') && `${num(s, 'epochs')} epochs`,
    ]
      .filter(Boolean)
      .join(' · ')
  }
  return text(s, 'kind') ?? ''
}
