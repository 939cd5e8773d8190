import { createContext, useContext, useEffect, useMemo, useSyncExternalStore, type ReactNode } from 'react'
import { BASE } from '../api/client'
import { StreamClient, type SocketLike, type StreamStatus } from './client'

const Context = createContext<StreamClient | null>(null)

function open(): SocketLike {
  const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:'
  return new WebSocket(`${scheme}//${location.host}${BASE}/stream`, 'trainyard.v1') as unknown as SocketLike
}

/** Lives as long as somebody is signed in: its connection carries the session's rights. */
export function StreamProvider({ children }: { children: ReactNode }) {
  const client = useMemo(() => new StreamClient({ open }), [])
  useEffect(() => {
    const retry = () => client.retryNow()
    addEventListener('online', retry)
    return () => {
      removeEventListener('online', retry)
      client.close()
    }
  }, [client])
  return <Context value={client}>{children}</Context>
}

export function useStream(): StreamClient {
  const client = useContext(Context)
  if (!client) throw new Error('useStream outside of StreamProvider')
  return client
}

export function useStreamStatus(): StreamStatus {
  const client = useStream()
  return useSyncExternalStore(
    (f) => client.watch(f),
    () => client.status,
  )
}
