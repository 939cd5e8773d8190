/* A run as the address of the form that would start it again, and as a command line. */
import type { InstanceRequest, Job } from '../api/types'

/** null: a job that no form can make (a batch job, or one whose task is gone). */
export function runAgainPath(job: Job): string | null {
  if (job.kind !== 'train' || !job.task || !job.dataset || !job.algorithm || !job.model) return null
  const q = new URLSearchParams({ dataset: job.dataset, algorithm: job.algorithm, model: job.model })
  const r = job.resources
  if (job.name) q.set('name', job.name)
  if (r.ranks) q.set('ranks', String(r.ranks))
  if (r.cores_per_rank) q.set('cores', String(r.cores_per_rank))
  if (r.gpus_per_rank) q.set('gpus', String(r.gpus_per_rank))
  if (r.memory_bytes) q.set('memory', String(r.memory_bytes))
  if (r.partition && r.partition !== 'default') q.set('partition', r.partition)
  if (job.time_limit_seconds) q.set('limit', String(job.time_limit_seconds))
  for (const [pointer, value] of Object.entries(job.overrides)) q.append('set', `${pointer}=${JSON.stringify(value)}`)
  return `/tasks/${encodeURIComponent(job.task)}/run?${q.toString()}`
}

/** As a word of a POSIX shell. */
export const shellWord = (s: string): string => (/^[\w@%+=:,./-]+$/.test(s) ? s : `'${s.replaceAll("'", `'\\''`)}'`)

/** The command line that submits the same run. */
export function commandLine(task: string, r: InstanceRequest): string {
  const words = ['trainyard', 'train', '--task', task, '--dataset', r.dataset, '--algorithm', r.algorithm]
  words.push('--model', r.model)
  if (r.name) words.push('--name', r.name)
  const { ranks, cores_per_rank: cores, gpus_per_rank: gpus, memory_bytes: memory, partition } = r.resources ?? {}
  if (ranks) words.push('--ranks', String(ranks))
  if (cores) words.push('--cores-per-rank', String(cores))
  if (gpus) words.push('--gpus-per-rank', String(gpus))
  if (memory) words.push('--memory', memoryWord(memory))
  if (partition && partition !== 'default') words.push('--partition', partition)
  for (const [pointer, value] of Object.entries(r.overrides ?? {}))
    words.push('--set', `${pointer}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  if (r.time_limit_seconds) words.push('--time-limit', `${r.time_limit_seconds}s`)
  if (r.priority) words.push('--priority', String(r.priority))
  return words.map(shellWord).join(' ')
}

function memoryWord(bytes: number): string {
  const units = ['', 'K', 'M', 'G', 'T']
  let i = 0
  while (i < units.length - 1 && bytes >= 1024 && bytes % 1024 === 0) {
    bytes /= 1024
    i++
  }
  return `${bytes}${units[i]}`
}

/** The request that a job was made from. */
export function requestOf(job: Job): InstanceRequest | null {
  if (!job.dataset || !job.algorithm || !job.model) return null
  return {
    dataset: job.dataset,
    algorithm: job.algorithm,
    model: job.model,
    ...(job.name && { name: job.name }),
    resources: job.resources,
    overrides: job.overrides,
    ...(job.time_limit_seconds && { time_limit_seconds: job.time_limit_seconds }),
    ...(job.priority && { priority: job.priority }),
  }
}
