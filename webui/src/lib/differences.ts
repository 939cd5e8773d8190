/* In what runs differ: every value of their settings by its JSON pointer. */
import type { Job } from '../api/types'

export type Settings = ReadonlyMap<string, unknown>

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)
const escape = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1')

/** {"a": {"b": 1}} -> /a/b = 1. Arrays are one value. */
export function flatten(value: unknown, prefix = '', into = new Map<string, unknown>()): Map<string, unknown> {
  if (isObject(value)) for (const [k, v] of Object.entries(value)) flatten(v, `${prefix}/${escape(k)}`, into)
  else into.set(prefix, value)
  return into
}

/** An override replaces what is at its pointer, and all below it. */
export function override(settings: Map<string, unknown>, overrides: Record<string, unknown>): Map<string, unknown> {
  for (const [pointer, value] of Object.entries(overrides)) {
    for (const key of [...settings.keys()]) if (key === pointer || key.startsWith(`${pointer}/`)) settings.delete(key)
    flatten(value, pointer, settings)
  }
  return settings
}

/** Of a run: what it was made of, with how much, and its algorithm as it ran. algorithm: the file, null if unknown. */
export function settingsOf(job: Job, algorithm: unknown): Settings {
  const own = override(flatten(algorithm ?? {}), job.overrides)
  for (const key of ['/format', '/name', '/description']) own.delete(key)
  const of: Record<string, unknown> = {
    dataset: job.dataset,
    model: job.model,
    algorithm: job.algorithm,
    ranks: job.resources.ranks,
    cores: job.resources.cores_per_rank,
    gpus: job.resources.gpus_per_rank,
  }
  return new Map([...Object.entries(of), ...own])
}

export interface Row {
  key: string
  values: (string | null)[]
  differs: boolean
}

export const show = (v: unknown): string | null =>
  v === undefined || v === null ? null : typeof v === 'string' ? v : JSON.stringify(v)

/** One row a setting that any of them has, in the order they first appear. */
export function compareSettings(all: readonly Settings[]): Row[] {
  const keys = [...new Set(all.flatMap((s) => [...s.keys()]))]
  return keys.map((key) => {
    const values = all.map((s) => show(s.get(key)))
    return { key, values, differs: new Set(values).size > 1 }
  })
}
