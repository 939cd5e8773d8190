/* Hooks that stay current over the page's one stream (stream/client.ts). */
import { useQueryClient } from '@tanstack/react-query'
import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from 'react'
import { MetricSeries } from '../lib/series'
import type { StreamClient } from '../stream/client'
import { useStream } from '../stream/context'
import { request } from './client'
import { putJob } from './hooks'
import type { ClusterNode, Job, LogRecord, MetricRecord, Page, Sequenced } from './types'

/** Keeps every list of jobs current. */
export function useLiveQueue(): void {
  const stream = useStream()
  const client = useQueryClient()
  useEffect(
    () =>
      stream.subscribe('queue', undefined, {
        event: (data) => putJob(client, data as Job),
        // What happened between the list's own answer and now: also after a break.
        subscribed: () => void client.invalidateQueries({ queryKey: ['jobs'] }),
      }),
    [stream, client],
  )
}

export function useLiveNodes(): void {
  const stream = useStream()
  const client = useQueryClient()
  useEffect(
    () =>
      stream.subscribe('nodes', undefined, {
        event: (data) => {
          const node = data as ClusterNode
          client.setQueryData<ClusterNode[]>(['nodes'], (all) =>
            all?.some((n) => n.name === node.name) ? all.map((n) => (n.name === node.name ? node : n)) : undefined,
          )
        },
        subscribed: () => void client.invalidateQueries({ queryKey: ['nodes'] }),
      }),
    [stream, client],
  )
}

export function useLiveTask(task: string): void {
  const stream = useStream()
  const client = useQueryClient()
  useEffect(() => {
    const refresh = () => {
      void client.invalidateQueries({ queryKey: ['task', task] })
      void client.invalidateQueries({ queryKey: ['assets', task] })
    }
    return stream.subscribe(`task/${task}`, undefined, { event: refresh, subscribed: refresh })
  }, [stream, client, task])
}

/** The job row, its events and its artifacts, whenever its state moves. */
export function useLiveJob(id: number): void {
  const stream = useStream()
  const client = useQueryClient()
  useEffect(() => {
    const details = () => {
      void client.invalidateQueries({ queryKey: ['job', id, 'events'] })
      void client.invalidateQueries({ queryKey: ['job', id, 'artifacts'] })
    }
    return stream.subscribe(`job/${id}/state`, undefined, {
      event: (data) => {
        putJob(client, data as Job)
        details()
      },
      subscribed: () => {
        void client.invalidateQueries({ queryKey: ['job', id], exact: true })
        details()
      },
    })
  }, [stream, client, id])
}

/** Collects what arrives and tells React at most once a frame, however many events came. */
class Batched<T> {
  private readonly listeners = new Set<() => void>()
  private frame = 0
  private version = 0
  /** milliseconds between two tellings; 0: every frame. A long replay goes faster when not every step of it is drawn. */
  pace = 0
  constructor(readonly value: T) {}
  readonly subscribe = (f: () => void): (() => void) => {
    this.listeners.add(f)
    return () => void this.listeners.delete(f)
  }
  readonly snapshot = (): number => this.version
  changed(): void {
    if (this.frame) return
    // A hidden page has no frames; its numbers still have to be right when it is looked at.
    const tell = () => {
      this.frame = 0
      this.version++
      for (const f of [...this.listeners]) f()
    }
    this.frame =
      document.hidden || this.pace > 0 ? window.setTimeout(tell, this.pace || 500) : requestAnimationFrame(tell)
  }
}

export interface LiveMetrics {
  series: MetricSeries
  /** Changes whenever the series did. */
  version: number
  /** The history is here; what comes now is new. */
  complete: boolean
}

/* Curves are drawn anew ten times a second, which looks alive and leaves the frames in between to scrolling and pointing; a
 * long history that is being replayed less often, because it arrives faster when not every step of it is drawn. */
const LIVE = 100
const REPLAY = 250

/** Fills a store from a run's first record on; returns how to stop. done: the history is there. */
function follow(stream: StreamClient, id: number, store: Batched<MetricSeries>, done: () => void): () => void {
  let upTo = Infinity
  store.pace = REPLAY
  const arrived = () => {
    if (store.pace === LIVE) return
    store.pace = LIVE
    done()
  }
  return stream.subscribe(`job/${id}/metrics`, 0, {
    event: (data, seq) => {
      const e = data as Omit<Sequenced<MetricRecord>, 'seq'>
      if (store.value.add({ ...e, seq })) store.changed()
      if (seq >= upTo) arrived()
    },
    subscribed: (seq) => {
      upTo = seq
      if (seq <= 0) arrived()
    },
  })
}

/** All points of a run, from the first one, replayed and then live. */
export function useLiveMetrics(id: number): LiveMetrics {
  const stream = useStream()
  const [store, setStore] = useState(() => new Batched(new MetricSeries()))
  const [complete, setComplete] = useState(false)
  const version = useSyncExternalStore(store.subscribe, store.snapshot)
  useEffect(() => {
    const fresh = new Batched(new MetricSeries())
    // A new run begins with an empty store; the subscription fills it.
    // eslint-disable-next-line react-hooks/set-state-in-effect
    setStore(fresh)
    setComplete(false)
    return follow(stream, id, fresh, () => setComplete(true))
  }, [stream, id])
  return { series: store.value, version, complete }
}

export interface ManyMetrics {
  of: ReadonlyMap<number, MetricSeries>
  version: number
}

/** The same for several runs at once. */
export function useManyMetrics(ids: readonly number[]): ManyMetrics {
  const stream = useStream()
  const [stores, setStores] = useState<ReadonlyMap<number, Batched<MetricSeries>>>(new Map())
  const key = ids.join(',')
  useEffect(() => {
    const fresh = new Map(
      key
        .split(',')
        .filter(Boolean)
        .map((id) => [Number(id), new Batched(new MetricSeries())]),
    )
    // A new choice of runs begins with empty stores; the subscriptions fill them.
    // eslint-disable-next-line react-hooks/set-state-in-effect
    setStores(fresh)
    const stop = [...fresh].map(([id, store]) => follow(stream, id, store, () => undefined))
    return () => stop.forEach((f) => f())
  }, [stream, key])
  const subscribe = useCallback(
    (f: () => void) => {
      const stop = [...stores.values()].map((s) => s.subscribe(f))
      return () => stop.forEach((g) => g())
    },
    [stores],
  )
  const version = useSyncExternalStore(subscribe, () => [...stores.values()].reduce((n, s) => n + s.snapshot(), 0))
  const of = useMemo(() => new Map([...stores].map(([id, s]) => [id, s.value])), [stores])
  return { of, version }
}

export type LogLine = Sequenced<LogRecord>

export interface LiveLogs {
  lines: LogLine[]
  version: number
  loading: boolean
  /** There may be lines before the first one shown. */
  more: boolean
  error: unknown
  loadEarlier: () => void
}

const TAIL = 1000
const TAIL_MOST = 10_000 // what the server gives at once
const KEEP = 100_000

/** The last lines of a run's output, then what is written from there on. */
export function useLiveLogs(id: number): LiveLogs {
  const stream = useStream()
  const [tail, setTail] = useState(TAIL)
  const [store, setStore] = useState(() => new Batched<LogLine[]>([]))
  const [state, setState] = useState<{ loading: boolean; more: boolean; error: unknown }>({
    loading: true,
    more: false,
    error: null,
  })
  const version = useSyncExternalStore(store.subscribe, store.snapshot)

  useEffect(() => {
    const abort = new AbortController()
    let stop: (() => void) | undefined
    request<Page<LogLine>>('GET', `/jobs/${id}/logs`, { query: { tail }, signal: abort.signal })
      .then((page) => {
        if (abort.signal.aborted) return
        const fresh = new Batched([...page.items].sort((a, b) => a.seq - b.seq))
        setStore(fresh)
        setState({ loading: false, more: page.items.length >= tail && tail < TAIL_MOST, error: null })
        const last = fresh.value.at(-1)?.seq ?? 0
        stop = stream.subscribe(`job/${id}/logs`, last, {
          event: (data, seq) => {
            fresh.value.push({ ...(data as Omit<LogLine, 'seq'>), seq })
            if (fresh.value.length > KEEP) fresh.value.splice(0, fresh.value.length - KEEP)
            fresh.changed()
          },
        })
      })
      .catch((error: unknown) => {
        if (!abort.signal.aborted) setState({ loading: false, more: false, error })
      })
    return () => {
      abort.abort()
      stop?.()
    }
  }, [stream, id, tail])

  return { lines: store.value, version, ...state, loadEarlier: () => setTail(TAIL_MOST) }
}
