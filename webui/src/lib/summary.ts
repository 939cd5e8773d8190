/* One short line about an asset from its verification's summary. The summary is the trainer's: every member may be absent. */
import type { Asset, ModelGraph } from '../api/types'
import { formatCompact, formatCount } from './format'

export type Summary = Record<string, unknown>

export const num = (s: Summary, key: string): number | null => (typeof s[key] === 'number' ? s[key] : null)
export const text = (s: Summary, key: string): string | null => (typeof s[key] === 'string' ? s[key] : null)
export const list = (s: Summary, key: string): unknown[] => (Array.isArray(s[key]) ? s[key] : [])
const object = (s: Summary, key: string): Summary =>
  s[key] && typeof s[key] === 'object' && !Array.isArray(s[key]) ? (s[key] as Summary) : {}

export function datasetInfo(s: Summary): Summary {
  return object(s, 'dataset_info')
}

export function graphOf(s: Summary): ModelGraph | null {
  const g = object(s, 'graph')
  return Array.isArray(g.nodes) && Array.isArray(g.edges) ? (g as unknown as ModelGraph) : null
}

/** The learning rate over the epochs, from `curve`: {steps_per_epoch, points: [[step, rate]]}. */
export function curveOf(s: Summary): { epochs: number[]; rates: number[] } | null {
  const c = object(s, 'curve')
  const perEpoch = num(c, 'steps_per_epoch')
  const points = list(c, 'points').filter(
    (p): p is [number, number] => Array.isArray(p) && p.length === 2 && p.every((v) => typeof v === 'number'),
  )
  if (!perEpoch || points.length < 2) return null
  return { epochs: points.map((p) => p[0] / perEpoch), rates: points.map((p) => p[1]) }
}

export function sampleCounts(info: Summary): { train: number | null; test: number | null } {
  const s = object(info, 'samples')
  return { train: num(s, 'train'), test: num(s, 'test') }
}

export function summaryLine(a: Asset, locale: string): string {
  const s = a.verification?.summary ?? {}
  if (a.kind === 'dataset') {
    const info = datasetInfo(s)
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
    return [
      text(s, 'optimizer'),
      num(s, 'batch_size') && `batch ${num(s, 'batch_size')}`,
      num(s, 'epochs') && `${num(s, 'epochs')} epochs`,
    ]
      .filter(Boolean)
      .join(' · ')
  }
  return text(s, 'description') ?? ''
}
