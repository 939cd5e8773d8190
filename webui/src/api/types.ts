/* The shapes of docs/api.md, one type each. Times are RFC 3339 strings in UTC. */

export const ROLES = ['viewer', 'user', 'operator', 'admin'] as const
export type Role = (typeof ROLES)[number]
export interface User {
  name: string
  role: Role
}
export interface Session {
  user: User
  expires: string | null
}

export interface Page<T> {
  items: T[]
  next_cursor: string | null
}

export const TASK_TYPES = ['classification', 'regression', 'language-model', 'other'] as const
export type TaskType = (typeof TASK_TYPES)[number]

export interface Task {
  name: string
  description: string
  type: TaskType
  owner: string
  labels: string[]
  created: string
  updated: string
  counts: { datasets: number; algorithms: number; layers: number; models: number; instances: number }
}

/** The plural is the path segment, the singular the asset's own `kind`. */
export const ASSET_KINDS = ['datasets', 'algorithms', 'layers', 'models'] as const
export type AssetKinds = (typeof ASSET_KINDS)[number]
export type AssetKind = 'dataset' | 'algorithm' | 'layer' | 'model'
export const singular: Record<AssetKinds, AssetKind> = {
  datasets: 'dataset',
  algorithms: 'algorithm',
  layers: 'layer',
  models: 'model',
}

export type CheckStatus = 'passed' | 'warned' | 'failed'
export interface Check {
  name: string
  status: CheckStatus
  message: string
  pointer: string | null
  line: number
  column: number
  expected: string | null
  actual: string | null
  hint: string | null
  seconds: number
}
export interface Verification {
  format: string
  kind: AssetKind | 'fit'
  ok: boolean
  trainer: string
  seconds: number
  checks: Check[]
  summary: Record<string, unknown>
}

export interface Asset {
  kind: AssetKind
  name: string
  version: number
  task: string
  description: string
  metadata: Record<string, unknown>
  digest: string
  size: number
  created: string
  created_by: string
  verification: Verification | null
  url: string
}

export interface DatasetMetadata {
  target?: string
  task_type?: 'classification' | 'regression'
  test_fraction?: number
  seed?: number
}

export interface GraphNode {
  name: string
  type: string
  shape: number[]
  dtype?: string
  parameters?: number
  flops?: number
  bytes?: number
  config?: Record<string, unknown>
  inputs?: string[]
  group?: string
  /** of what it came from in the file */
  pointer?: string
}
export interface ModelGraph {
  nodes: GraphNode[]
  edges: { from: string; to: string; shape?: number[] }[]
  inputs: string[]
  outputs: string[]
  parameters: number
  flops: number
  weight_bytes: number
  activation_bytes: number
}

export const FINAL_STATES = [
  'COMPLETED',
  'FAILED',
  'CANCELLED',
  'TIMEOUT',
  'NODE_FAIL',
  'OUT_OF_MEMORY',
  'DEADLINE',
] as const
export const LIVE_STATES = ['PENDING', 'STARTING', 'RUNNING', 'COMPLETING'] as const
export type JobState = (typeof FINAL_STATES)[number] | (typeof LIVE_STATES)[number]
export const isFinal = (state: JobState): boolean => (FINAL_STATES as readonly string[]).includes(state)

export interface Resources {
  ranks: number
  cores_per_rank: number
  memory_bytes: number
  gpus_per_rank: number
  partition: string
}
export interface Progress {
  step: number
  steps: number
  epoch: number
  epochs: number
  values: Record<string, number>
  seconds_left: number | null
}
export interface Job {
  id: number
  kind: 'train' | 'batch'
  name: string
  task: string | null
  owner: string
  state: JobState
  reason: string
  held: boolean
  priority: number
  attempt: number
  submitted: string
  started: string | null
  ended: string | null
  exit_code: number | null
  signal: number | null
  resources: Partial<Resources>
  time_limit_seconds: number | null
  nodes: string[]
  dataset: string | null
  algorithm: string | null
  model: string | null
  overrides: Record<string, unknown>
  progress: Progress | null
  resubmitted_from: number | null
  failure: { reason?: string; message: string; tail: string[] | string | null } | null
}
export interface InstanceRequest {
  name?: string
  dataset: string
  algorithm: string
  model: string
  resources?: Partial<Resources>
  overrides?: Record<string, unknown>
  time_limit_seconds?: number
  priority?: number
}

export interface JobEvent {
  seq: number
  at: string
  event: string
  from: JobState | null
  to: JobState | null
  attempt: number
  detail: Record<string, unknown> | null
}

/** One line of the trainer's metrics file; `t` is in seconds since 1970. */
export interface MetricRecord {
  t: number
  kind: 'start' | 'resume' | 'train' | 'eval' | 'checkpoint' | 'end' | (string & {})
  step?: number
  steps?: number
  epoch?: number
  epochs?: number
  ranks?: number
  samples?: number
  parameters?: number
  backend?: string
  seconds?: number
  file?: string
  values?: Record<string, number | null>
}
export interface LogRecord {
  t: number
  stream: 'stdout' | 'stderr'
  text: string
}
export interface Sequenced<R> {
  seq: number
  attempt: number
  record: R
}
export interface Artifact {
  name: string
  size: number
  digest: string
  attempt: number
  created: string
}

export interface ClusterNode {
  name: string
  state: 'up' | 'down' | 'drained'
  reason: string
  cores: number
  memory_bytes: number
  gpus: { name?: string; memory_bytes?: number }[]
  cores_used: number
  memory_used_bytes: number
  load: number
  version: string
  last_seen: string | null
  jobs: number[]
}

export interface Partition {
  name: string
  default: boolean
  max_time_seconds: number | null
  nodes: string[]
}

export interface UserRow {
  name: string
  role: Role
  created: string
}
export interface Token {
  id: number
  name: string
  kind: 'bearer' | 'signin' | 'join' | 'agent' | (string & {})
  user: string | null
  node: string | null
  created: string
  expires: string | null
}
