/* The form that starts runs: from an address, and into requests. A field with several values is a sweep: one run for each
 * combination. */
import type { InstanceRequest } from '../api/types'

export interface RunForm {
  dataset: string
  algorithm: string
  model: string
  name: string
  ranks: string
  cores: string
  gpus: string
  memory: string // GiB
  limit: string // minutes
  priority: string
  partition: string
  epochs: string
  batch: string
  rate: string
  others: { pointer: string; value: string }[]
}

export const emptyRunForm: RunForm = {
  dataset: '',
  algorithm: '',
  model: '',
  name: '',
  ranks: '2',
  cores: '1',
  gpus: '',
  memory: '',
  limit: '',
  priority: '',
  partition: '',
  epochs: '',
  batch: '',
  rate: '',
  others: [],
}

const POINTERS = { epochs: '/epochs', batch: '/batch_size', rate: '/optimizer/learning_rate' } as const

/** At most so many runs at once from one form. */
export const MOST_RUNS = 200

/** What runlink.ts writes into an address; what is not there stays as it is. */
export function readRunForm(q: URLSearchParams, initial: RunForm): RunForm {
  const form = { ...initial, others: [...initial.others] }
  for (const key of ['dataset', 'algorithm', 'model', 'name', 'ranks', 'cores', 'gpus', 'partition'] as const)
    form[key] = q.get(key) ?? form[key]
  const memory = Number(q.get('memory'))
  if (memory > 0) form.memory = String(Number((memory / 2 ** 30).toFixed(3)))
  const limit = Number(q.get('limit'))
  if (limit > 0) form.limit = String(Math.ceil(limit / 60))
  for (const set of q.getAll('set')) {
    const at = set.indexOf('=')
    const pointer = set.slice(0, at)
    const value = set.slice(at + 1)
    const known = (Object.keys(POINTERS) as (keyof typeof POINTERS)[]).find((k) => POINTERS[k] === pointer)
    if (at > 0 && known && !Number.isNaN(Number(value))) form[known] = value
    else if (at > 0) form.others.push({ pointer, value })
  }
  return form
}

/** "0.1, 0.01" -> [0.1, 0.01]; null when a part is no number. */
export function gridOf(text: string): number[] | null {
  const parts = text
    .split(/[,;\s]+/)
    .map((p) => p.trim())
    .filter(Boolean)
  const values = parts.map(Number)
  return parts.length > 0 && values.every((v) => Number.isFinite(v)) ? [...new Set(values)] : null
}

/** A value as one writes it: JSON where it is JSON, otherwise the word itself. */
export function valueOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}

/** Several words separated by commas are several values, unless they are one JSON value. */
function valuesOf(text: string): unknown[] {
  const whole = valueOf(text)
  if (typeof whole !== 'string' || !text.includes(',')) return [whole]
  return text
    .split(',')
    .map((p) => valueOf(p.trim()))
    .filter((v) => v !== '')
}

/** One request for each combination of the values. */
export function requestsOf(form: RunForm): InstanceRequest[] {
  const swept: [string, unknown[]][] = []
  for (const k of ['epochs', 'batch', 'rate'] as const)
    if (form[k].trim()) swept.push([POINTERS[k], gridOf(form[k]) ?? []])
  for (const o of form.others) if (o.pointer && o.value.trim()) swept.push([o.pointer, valuesOf(o.value)])
  let combinations: Record<string, unknown>[] = [{}]
  for (const [pointer, values] of swept) {
    combinations = combinations.flatMap((c) => values.map((v) => ({ ...c, [pointer]: v })))
    if (combinations.length > MOST_RUNS) return []
  }
  const varying = swept.filter(([, values]) => values.length > 1).map(([pointer]) => pointer)
  return combinations.map((overrides) => {
    const suffix = varying.map((p) => `${p.split('/').at(-1)}=${String(overrides[p])}`).join(' ')
    const name = [form.name.trim(), suffix].filter(Boolean).join(' ').slice(0, 64)
    return {
      ...(name && { name }),
      dataset: form.dataset,
      algorithm: form.algorithm,
      model: form.model,
      resources: {
        ranks: Number(form.ranks),
        cores_per_rank: Number(form.cores),
        ...(Number(form.gpus) > 0 && { gpus_per_rank: Number(form.gpus) }),
        ...(form.memory && { memory_bytes: Math.round(Number(form.memory) * 2 ** 30) }),
        ...(form.partition && { partition: form.partition }),
      },
      ...(Object.keys(overrides).length > 0 && { overrides }),
      ...(form.limit && { time_limit_seconds: Number(form.limit) * 60 }),
      ...(Number(form.priority) && { priority: Number(form.priority) }),
    }
  })
}
