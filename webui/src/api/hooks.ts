/* Everything a page may ask or do, as hooks. Keys are [thing, ...where]; a mutation says what it made stale. */
import {
  QueryClient,
  keepPreviousData,
  MutationCache,
  QueryCache,
  useInfiniteQuery,
  useMutation,
  useQueries,
  useQuery,
  useQueryClient,
  type InfiniteData,
} from '@tanstack/react-query'
import { useEffect, useMemo, useState } from 'react'
import { newKey } from '../lib/key'
import type { LayerType } from '../lib/modeldoc'
import { readReport } from '../lib/report'
import { saveBlob } from '../lib/save'
import { request, requestText, seg, upload } from './client'
import { Problem } from './problem'
import {
  isFinal,
  singular,
  type Artifact,
  type Asset,
  type AssetKinds,
  type ClusterNode,
  type InstanceRequest,
  type Job,
  type JobEvent,
  type ModelGraph,
  type MetricRecord,
  type Page,
  type Partition,
  type Role,
  type Sequenced,
  type Session,
  type Task,
  type TaskType,
  type Token,
  type UserRow,
  type Verification,
} from './types'

export const isMissing = (e: unknown): boolean => e instanceof Problem && e.status === 404

/** A refusal will be the same the next time; a broken connection may not. */
export function makeQueryClient(): QueryClient {
  // A session may end at any moment; whichever request learns it shows the sign-in page.
  const onError = (e: unknown) => {
    if (e instanceof Problem && e.status === 401 && client.getQueryData(['session']))
      client.setQueryData(['session'], null)
  }
  const client: QueryClient = new QueryClient({
    queryCache: new QueryCache({ onError }),
    mutationCache: new MutationCache({ onError }),
    defaultOptions: {
      queries: {
        staleTime: 2000,
        retry: (n, e) => n < 2 && !(e instanceof Problem && e.status >= 400 && e.status < 500),
      },
    },
  })
  return client
}

/* --- who I am --- */

/** The one-time token of `/#signin=TOKEN`, taken out of the address at once: it must not stay in the history. */
function takeToken(): string | null {
  const m = /^#signin=(.+)$/.exec(location.hash)
  if (!m) return null
  history.replaceState(null, '', location.pathname + location.search)
  return decodeURIComponent(m[1]!)
}
let oneTimeToken = takeToken()

/** The link opened where the console already is changes only the part after the #. */
export function useSignInLink(): void {
  const client = useQueryClient()
  useEffect(() => {
    const changed = () => {
      const token = takeToken()
      if (token === null) return
      oneTimeToken = token
      client.removeQueries({ predicate: (q) => q.queryKey[0] !== 'session' })
      void client.resetQueries({ queryKey: ['session'] })
    }
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, [client])
}

/** null: nobody is signed in. */
export function useSession() {
  return useQuery({
    queryKey: ['session'],
    queryFn: async ({ signal }): Promise<Session | null> => {
      const token = oneTimeToken
      oneTimeToken = null
      if (token !== null) {
        try {
          return await request<Session>('POST', '/sessions', { json: { token } })
        } catch (e) {
          signInProblem = e
        }
      }
      try {
        return await request<Session>('GET', '/sessions/current', { signal })
      } catch (e) {
        if (e instanceof Problem && e.status === 401) return null
        throw e
      }
    },
    staleTime: Infinity,
  })
}

let signInProblem: unknown = null
/** Why the one-time token in the address did not work, if it was there and did not. */
export const linkProblem = (): unknown => signInProblem

export type Credentials = { name: string; password: string } | { token: string }

export function useSignIn() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (c: Credentials) => request<Session>('POST', '/sessions', { json: c }),
    onSuccess: (session) => {
      signInProblem = null
      client.setQueryData(['session'], session)
    },
  })
}

export function useSignOut() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: () => request<undefined>('DELETE', '/sessions/current'),
    onSettled: () => {
      client.setQueryData(['session'], null)
      client.removeQueries({ predicate: (q) => q.queryKey[0] !== 'session' })
    },
  })
}

/* --- tasks --- */

export function useTasks(q: string) {
  return useInfiniteQuery({
    queryKey: ['tasks', q],
    queryFn: ({ pageParam, signal }) =>
      request<Page<Task>>('GET', '/tasks', { query: { q, limit: 50, cursor: pageParam }, signal }),
    initialPageParam: '',
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
  })
}

export function useTask(task: string) {
  return useQuery({
    queryKey: ['task', task],
    queryFn: ({ signal }) => request<Task>('GET', `/tasks/${seg(task)}`, { signal }),
  })
}

export interface TaskFields {
  name: string
  description: string
  type: TaskType
  labels: string[]
}

/** The key is part of the call, so that a retry after a lost answer does not make a second one. */
export function useCreateTask() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (v: TaskFields & { key: string }) => {
      const { key, ...json } = v
      return request<Task>('POST', '/tasks', { json, idempotencyKey: key })
    },
    onSuccess: (task) => {
      client.setQueryData(['task', task.name], task)
      void client.invalidateQueries({ queryKey: ['tasks'] })
    },
  })
}

export function useDeleteTask() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (task: string) => request<undefined>('DELETE', `/tasks/${seg(task)}`),
    onSuccess: (_, task) => {
      client.removeQueries({ queryKey: ['task', task] })
      return client.invalidateQueries({ queryKey: ['tasks'] })
    },
  })
}

/* --- assets --- */

export function useAssets(task: string, kind: AssetKinds, versions: 'newest' | 'all' = 'newest') {
  return useQuery({
    queryKey: ['assets', task, kind, versions],
    queryFn: async ({ signal }) => {
      const items: Asset[] = []
      let cursor: string | null = ''
      do {
        const page: Page<Asset> = await request('GET', `/tasks/${seg(task)}/${kind}`, {
          query: { limit: 200, cursor, versions: versions === 'all' ? 'all' : undefined },
          signal,
        })
        items.push(...page.items)
        cursor = page.next_cursor
      } while (cursor && items.length < 2000)
      return items
    },
  })
}

export function useAsset(task: string, kind: AssetKinds, ref: string) {
  return useQuery({
    queryKey: ['asset', task, kind, ref],
    queryFn: ({ signal }) => request<Asset>('GET', `/tasks/${seg(task)}/${kind}/${seg(ref)}`, { signal }),
  })
}

export function useAssetContent(task: string, kind: AssetKinds, ref: string, enabled = true) {
  return useQuery({
    queryKey: ['content', task, kind, ref],
    queryFn: ({ signal }) => requestText(`/tasks/${seg(task)}/${kind}/${seg(ref)}/content`, signal),
    enabled,
    staleTime: ref.includes('@') ? Infinity : 2000, // a version never changes
  })
}

export interface PreviewSample {
  split?: 'train' | 'test'
  index?: number
  class?: number
  label?: string | null
  target?: number[]
  image?: string // base64: 8-bit grey or RGB, row by row
  width?: number
  height?: number
  values?: (number | null)[]
}
export interface DatasetPreview {
  samples?: PreviewSample[]
  classes?: { name: string | null; count: number; train?: number; test?: number }[]
  columns?: { name: string; type: string; min?: number; max?: number; mean?: number }[]
}

export function useDatasetPreview(task: string, ref: string, enabled: boolean) {
  return useQuery({
    queryKey: ['preview', task, ref],
    queryFn: ({ signal }) =>
      request<DatasetPreview>('GET', `/tasks/${seg(task)}/datasets/${seg(ref)}/preview`, { signal }),
    enabled,
    staleTime: Infinity,
  })
}

export function useModelGraph(task: string, ref: string, enabled: boolean) {
  return useQuery({
    queryKey: ['graph', task, ref],
    queryFn: ({ signal }) => request<ModelGraph>('GET', `/tasks/${seg(task)}/models/${seg(ref)}/graph`, { signal }),
    enabled,
    staleTime: Infinity,
  })
}

export interface AssetUpload {
  task: string
  kind: AssetKinds
  name: string
  description: string
  metadata: object
  body: Blob
  progress: (sent: number, total: number) => void
  signal?: AbortSignal
}

/** Sends the bytes as they are, so that lines and columns of findings are those of the person's own text. */
export function useUploadAsset() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (u: AssetUpload) =>
      upload<Asset>(
        `/tasks/${seg(u.task)}/${u.kind}`,
        {
          name: u.name,
          description: u.description,
          metadata: Object.keys(u.metadata).length ? JSON.stringify(u.metadata) : undefined,
        },
        u.body,
        u.progress,
        u.signal,
      ),
    onSuccess: (_, u) => {
      void client.invalidateQueries({ queryKey: ['assets', u.task, u.kind] })
      void client.invalidateQueries({ queryKey: ['asset', u.task, u.kind] })
      void client.invalidateQueries({ queryKey: ['task', u.task] })
    },
  })
}

export function useDeleteAsset() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (a: { task: string; kind: AssetKinds; ref: string }) =>
      request<undefined>('DELETE', `/tasks/${seg(a.task)}/${a.kind}/${seg(a.ref)}`),
    onSuccess: (_, a) => {
      void client.invalidateQueries({ queryKey: ['assets', a.task, a.kind] })
      void client.invalidateQueries({ queryKey: ['task', a.task] })
    },
  })
}

/** What an editor asks as one types. Nothing is stored. `text` should be debounced by the caller. */
export function useVerification(task: string, kind: AssetKinds, text: string) {
  return useQuery({
    queryKey: ['verify', task, kind, text],
    queryFn: ({ signal }) =>
      request<Verification>('POST', `/verify/${singular[kind]}`, {
        query: { task },
        body: text,
        contentType: 'application/octet-stream',
        signal,
      }),
    enabled: text.trim() !== '',
    staleTime: Infinity,
    gcTime: 60000,
    retry: false,
    placeholderData: (previous) => (text.trim() === '' ? undefined : previous),
  })
}

/** The layer types that a model of a task may use: the built-in ones and the task's own. */
export function useLayerLibrary(task: string): { types: LayerType[]; error: unknown } {
  const builtIn = useQuery({
    queryKey: ['layer-types'],
    queryFn: async ({ signal }) => (await request<{ layers: LayerType[] }>('GET', '/layer-types', { signal })).layers,
    staleTime: Infinity,
  })
  const own = useAssets(task, 'layers')
  const types = useMemo(() => [...(own.data ?? []).map(ownLayer), ...(builtIn.data ?? [])], [own.data, builtIn.data])
  return { types, error: builtIn.error ?? own.error }
}

function ownLayer(a: Asset): LayerType {
  const s = a.verification?.summary ?? {}
  const inputs = Array.isArray(s.inputs) ? s.inputs.length : 1
  return {
    name: typeof s.name === 'string' ? s.name : a.name,
    group: 'own',
    summary: typeof s.description === 'string' ? s.description : a.description,
    min_inputs: inputs,
    max_inputs: inputs,
    params: Array.isArray(s.parameters) ? (s.parameters as LayerType['params']) : [],
  }
}

export interface FitRequest {
  task: string
  dataset: string
  algorithm: string
  model: string
  ranks: number
}

export function useFit(fit: FitRequest | null) {
  return useQuery({
    queryKey: ['fit', fit],
    queryFn: ({ signal }) => request<Verification>('POST', '/verify/fit', { json: fit, signal }),
    enabled: fit !== null,
    retry: false,
    staleTime: 30000,
  })
}

/* --- jobs --- */

export interface JobFilter {
  task?: string
  state?: string
}

type JobPages = InfiniteData<Page<Job>, string>

export function useJobs(filter: JobFilter) {
  return useInfiniteQuery({
    queryKey: ['jobs', filter],
    queryFn: ({ pageParam, signal }) =>
      filter.task
        ? request<Page<Job>>('GET', `/tasks/${seg(filter.task)}/instances`, {
            query: { state: filter.state, limit: 50, cursor: pageParam },
            signal,
          })
        : request<Page<Job>>('GET', '/jobs', { query: { state: filter.state, limit: 50, cursor: pageParam }, signal }),
    initialPageParam: '',
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
    // The queue topic says when a state changes; progress is asked for while something moves.
    refetchInterval: (q) =>
      (q.state.data as JobPages | undefined)?.pages.some((p) => p.items.some((j) => !isFinal(j.state))) ? 4000 : false,
  })
}

/** A job as the stream tells it, put where the pages look for it. */
export function putJob(client: QueryClient, job: Job): void {
  client.setQueryData(['job', job.id], job)
  let known = false
  client.setQueriesData<JobPages>({ queryKey: ['jobs'] }, (data) => {
    if (!data?.pages.some((p) => p.items.some((j) => j.id === job.id))) return data
    known = true
    return {
      ...data,
      pages: data.pages.map((p) => ({ ...p, items: p.items.map((j) => (j.id === job.id ? job : j)) })),
    }
  })
  if (!known) void client.invalidateQueries({ queryKey: ['jobs'] })
}

export function useJob(id: number) {
  return useQuery({
    queryKey: ['job', id],
    queryFn: ({ signal }) => request<Job>('GET', `/jobs/${id}`, { signal }),
  })
}

/** Several runs by their numbers; one that does not exist is null. */
export function useJobsById(ids: readonly number[]) {
  return useQueries({
    queries: ids.map((id) => ({
      queryKey: ['job', id],
      queryFn: ({ signal }: { signal: AbortSignal }) => request<Job>('GET', `/jobs/${id}`, { signal }),
    })),
    combine: (all) => ({
      jobs: all.flatMap((q) => q.data ?? []),
      pending: all.some((q) => q.isPending),
      error: all.find((q) => q.error)?.error ?? null,
    }),
  })
}

/** The algorithm file of each run, as JSON; null where it cannot be had. */
export function useAlgorithmsOf(jobs: readonly Job[]): unknown[] {
  return useQueries({
    queries: jobs.map((j) => ({
      queryKey: ['content', j.task, 'algorithms', j.algorithm],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        requestText(`/tasks/${seg(j.task ?? '')}/algorithms/${seg(j.algorithm ?? '')}/content`, signal),
      enabled: j.task !== null && j.algorithm !== null,
      staleTime: Infinity,
    })),
    combine: algorithmsOf,
  })
}

function algorithmsOf(all: readonly { data: string | undefined }[]): unknown[] {
  return all.map((q) => {
    try {
      return q.data === undefined ? null : (JSON.parse(q.data) as unknown)
    } catch {
      return null
    }
  })
}

export function useJobEvents(id: number) {
  return useQuery({
    queryKey: ['job', id, 'events'],
    queryFn: async ({ signal }) =>
      (await request<{ items: JobEvent[] }>('GET', `/jobs/${id}/events`, { signal })).items,
  })
}

export function useArtifacts(id: number) {
  return useQuery({
    queryKey: ['job', id, 'artifacts'],
    queryFn: async ({ signal }) =>
      (await request<{ items: Artifact[] }>('GET', `/jobs/${id}/artifacts`, { signal })).items,
  })
}

/** What the trainer said at the end. It never changes once it is there. */
export function useReport(id: number, enabled: boolean) {
  return useQuery({
    queryKey: ['job', id, 'report'],
    queryFn: async ({ signal }) =>
      readReport(await request<unknown>('GET', `/jobs/${id}/artifacts/report.json`, { signal })),
    enabled,
    staleTime: Infinity,
  })
}

/** Several files as one download; the code that packs them is loaded when first needed. */
export function useZip() {
  const [progress, setProgress] = useState(0)
  const m = useMutation({
    mutationFn: async (v: { name: string; entries: { path: string; url: string }[] }) => {
      const { fetchZip } = await import('./zip')
      saveBlob(await fetchZip(v.entries, setProgress), v.name)
    },
  })
  return { ...m, progress }
}

export const artifactUrl = (id: number, name: string): string =>
  `/api/v1/jobs/${id}/artifacts/${name.split('/').map(encodeURIComponent).join('/')}`
export const contentUrl = (a: Asset): string => `${a.url}/content`

/** The loss of a run so far, for a sparkline. A finished run's never changes. */
export function useLossHistory(job: Job, enabled: boolean) {
  return useQuery({
    queryKey: ['job', job.id, 'loss', isFinal(job.state)],
    queryFn: async ({ signal }) => {
      const losses: number[] = []
      let since = 0
      // A thousand records draw the shape of any run; more would be much to send for 96 pixels.
      for (let n = 0; n < 2; n++) {
        const page: Page<Sequenced<MetricRecord>> = await request('GET', `/jobs/${job.id}/metrics`, {
          query: { limit: 500, since },
          signal,
        })
        for (const e of page.items) {
          const v = e.record.kind === 'train' ? e.record.values?.loss : undefined
          if (typeof v === 'number') losses.push(v)
        }
        const last = page.items.at(-1)
        if (!last || page.next_cursor === null) break
        since = last.seq
      }
      return losses
    },
    enabled: enabled && job.kind === 'train' && job.state !== 'PENDING',
    staleTime: isFinal(job.state) ? Infinity : 4000,
    refetchInterval: isFinal(job.state) ? false : 5000,
  })
}

export function useSubmit() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (v: { task: string; instance: InstanceRequest; key: string }) =>
      request<Job>('POST', `/tasks/${seg(v.task)}/instances`, { json: v.instance, idempotencyKey: v.key }),
    onSuccess: (job) => {
      client.setQueryData(['job', job.id], job)
      void client.invalidateQueries({ queryKey: ['jobs'] })
      void client.invalidateQueries({ queryKey: ['task', job.task] })
    },
  })
}

export type JobAction = 'cancel' | 'hold' | 'release' | 'requeue' | 'resume' | 'clone'

export function useJobAction() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (v: { id: number; action: JobAction }) =>
      request<Job>('POST', `/jobs/${v.id}/${v.action}`, { idempotencyKey: newKey() }),
    onSuccess: (job) => {
      putJob(client, job)
      void client.invalidateQueries({ queryKey: ['job', job.id, 'events'] })
    },
  })
}

/* --- cluster --- */

export function useNodes() {
  return useQuery({
    queryKey: ['nodes'],
    queryFn: async ({ signal }) => (await request<{ items: ClusterNode[] }>('GET', '/nodes', { signal })).items,
    refetchInterval: 10000,
  })
}

export function usePartitions() {
  return useQuery({
    queryKey: ['partitions'],
    queryFn: async ({ signal }) => (await request<{ items: Partition[] }>('GET', '/partitions', { signal })).items,
    staleTime: 60000,
  })
}

export function useNodeAction() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (v: { node: string; action: 'drain' | 'resume'; reason?: string }) =>
      request<ClusterNode | undefined>('POST', `/nodes/${seg(v.node)}/${v.action}`, {
        json: v.action === 'drain' ? { reason: v.reason ?? '' } : undefined,
      }),
    onSuccess: () => client.invalidateQueries({ queryKey: ['nodes'] }),
  })
}

/* --- people and tokens --- */

export function useUsers(enabled: boolean) {
  return useQuery({
    queryKey: ['users'],
    queryFn: async ({ signal }) =>
      (await request<Page<UserRow>>('GET', '/users', { query: { limit: 500 }, signal })).items,
    enabled,
  })
}

export function useCreateUser() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (json: { name: string; password?: string; role: Role }) => request<UserRow>('POST', '/users', { json }),
    onSuccess: () => client.invalidateQueries({ queryKey: ['users'] }),
  })
}

export function useTokens() {
  return useQuery({
    queryKey: ['tokens'],
    queryFn: async ({ signal }) =>
      (await request<Page<Token>>('GET', '/tokens', { query: { limit: 500 }, signal })).items,
  })
}

/** The token itself is in this answer and never again. */
export function useCreateToken() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (json: { name: string; kind: 'bearer' | 'signin'; expires_in_seconds?: number }) =>
      request<Token & { token: string }>('POST', '/tokens', { json }),
    onSuccess: () => client.invalidateQueries({ queryKey: ['tokens'] }),
  })
}

export function useRevokeToken() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (id: number) => request<undefined>('DELETE', `/tokens/${id}`),
    onSuccess: () => client.invalidateQueries({ queryKey: ['tokens'] }),
  })
}
