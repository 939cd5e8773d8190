/* One WebSocket a page, subprotocol trainyard.v1 (docs/api.md). Whoever listens to a topic sees every event once and in
 * order, whatever happens to the connection: the client remembers the last seq of each topic, subscribes again from there
 * after a break, and drops what it has already handed out.
 *
 * A topic is either replayed (`since` given: from that seq, 0 = from the beginning) or only live (`since` absent). A live
 * topic becomes a replayed one once it has an event or an acknowledged position, so a break loses nothing there either.
 */

export type StreamStatus = 'idle' | 'connecting' | 'open' | 'waiting'

export interface TopicListener {
  event(data: unknown, seq: number): void
  /** The server has confirmed the subscription: everything after `seq` will be an event. Again after each reconnect. */
  subscribed?(seq: number): void
  error?(detail: string): void
}

interface Topic {
  name: string
  since: number | null
  listeners: Set<TopicListener>
  /** id of the subscribe request on the present connection; events of an older one are not ours */
  request: number
}

export interface SocketLike {
  readyState: number
  send(text: string): void
  close(code?: number, reason?: string): void
  onopen: ((e: unknown) => void) | null
  onmessage: ((e: { data: unknown }) => void) | null
  onclose: ((e: unknown) => void) | null
  onerror: ((e: unknown) => void) | null
}

export interface StreamOptions {
  open: () => SocketLike
  /** milliseconds before reconnect number n (from 0) */
  delay?: (n: number) => number
  pingEvery?: number
  pongWithin?: number
}

const OPEN = 1

/** 0.3 s doubling to 15 s, with jitter so that a restarted server is not met by everybody at once. */
export function backOff(n: number): number {
  return Math.min(15000, 300 * 2 ** n) * (0.7 + 0.6 * Math.random())
}

export class StreamClient {
  private socket: SocketLike | null = null
  private readonly topics = new Map<string, Topic>()
  private readonly watchers = new Set<(status: StreamStatus) => void>()
  private nextId = 1
  private failures = 0
  private reconnectTimer: ReturnType<typeof setTimeout> | null = null
  private pingTimer: ReturnType<typeof setTimeout> | null = null
  private closeTimer: ReturnType<typeof setTimeout> | null = null
  private state: StreamStatus = 'idle'

  constructor(private readonly options: StreamOptions) {}

  get status(): StreamStatus {
    return this.state
  }

  watch(f: (status: StreamStatus) => void): () => void {
    this.watchers.add(f)
    return () => void this.watchers.delete(f)
  }

  /** since: replay after this seq; undefined: only what is new. A topic that already has listeners keeps its position. */
  subscribe(name: string, since: number | undefined, listener: TopicListener): () => void {
    let topic = this.topics.get(name)
    if (topic) topic.listeners.add(listener)
    else {
      topic = { name, since: since ?? null, listeners: new Set([listener]), request: 0 }
      this.topics.set(name, topic)
      this.ask(topic)
    }
    this.connect()
    return () => this.unsubscribe(name, listener)
  }

  /** Try at once, for example when the browser says that the network is back. */
  retryNow(): void {
    if (this.state !== 'waiting') return
    this.failures = 0
    this.clear('reconnectTimer')
    this.connect()
  }

  close(): void {
    this.topics.clear()
    this.drop()
    this.set('idle')
  }

  private unsubscribe(name: string, listener: TopicListener): void {
    const topic = this.topics.get(name)
    if (!topic?.listeners.delete(listener) || topic.listeners.size) return
    this.topics.delete(name)
    this.send({ op: 'unsubscribe', id: this.nextId++, topic: name })
    if (this.topics.size === 0 && !this.closeTimer)
      this.closeTimer = setTimeout(() => {
        // Going from one page to the next leaves no topic for a moment; that is no reason for a new connection.
        this.closeTimer = null
        if (this.topics.size === 0) this.close()
      }, 5000)
  }

  private connect(): void {
    this.clear('closeTimer')
    if (this.socket || this.reconnectTimer) return
    this.set('connecting')
    let socket: SocketLike
    try {
      socket = this.options.open()
    } catch {
      this.later()
      return
    }
    this.socket = socket
    socket.onopen = () => {
      this.set('open')
      for (const topic of this.topics.values()) this.ask(topic)
      this.schedulePing()
    }
    socket.onmessage = (e) => {
      if (this.socket !== socket) return
      this.failures = 0
      this.schedulePing()
      if (typeof e.data === 'string') this.receive(e.data)
    }
    socket.onclose = () => {
      if (this.socket === socket) {
        this.drop()
        this.later()
      }
    }
    socket.onerror = () => undefined // onclose follows
  }

  private ask(topic: Topic): void {
    topic.request = this.nextId++
    this.send({
      op: 'subscribe',
      id: topic.request,
      topic: topic.name,
      ...(topic.since === null ? {} : { since: topic.since }),
    })
  }

  private send(message: object): void {
    if (this.socket?.readyState === OPEN) this.socket.send(JSON.stringify(message))
  }

  private receive(text: string): void {
    let m: Record<string, unknown>
    try {
      m = JSON.parse(text) as Record<string, unknown>
    } catch {
      return
    }
    const topic = typeof m.topic === 'string' ? this.topics.get(m.topic) : undefined
    switch (m.op) {
      case 'event': {
        const seq = Number(m.seq)
        if (!topic || !Number.isSafeInteger(seq)) return
        if (topic.since !== null && seq <= topic.since) return // seen before the break
        topic.since = seq
        for (const l of [...topic.listeners]) l.event(m.data, seq)
        return
      }
      case 'subscribed': {
        if (!topic || topic.request !== m.id) return
        const seq = Number(m.seq) || 0
        if (topic.since === null) topic.since = seq
        for (const l of [...topic.listeners]) l.subscribed?.(seq)
        return
      }
      case 'error': {
        const detail = typeof m.detail === 'string' ? m.detail : ''
        for (const t of this.topics.values())
          if (t.request === m.id) for (const l of [...t.listeners]) l.error?.(detail)
        return
      }
      default: // pong, unsubscribed, lagged: the server catches up from its database by itself
    }
  }

  /** A connection that died without a close (a sleeping laptop, a lost route) is found by its silence. */
  private schedulePing(): void {
    this.clear('pingTimer')
    this.pingTimer = setTimeout(() => {
      this.send({ op: 'ping', id: this.nextId++ })
      this.pingTimer = setTimeout(() => {
        this.drop()
        this.later()
      }, this.options.pongWithin ?? 10000)
    }, this.options.pingEvery ?? 20000)
  }

  private drop(): void {
    this.clear('pingTimer')
    this.clear('reconnectTimer')
    this.clear('closeTimer')
    const s = this.socket
    this.socket = null
    if (!s) return
    s.onopen = s.onmessage = s.onclose = s.onerror = null
    try {
      s.close(1000)
    } catch {
      /* already gone */
    }
  }

  private later(): void {
    if (this.topics.size === 0) {
      this.set('idle')
      return
    }
    this.set('waiting')
    this.clear('reconnectTimer')
    this.reconnectTimer = setTimeout(
      () => {
        this.reconnectTimer = null
        this.connect()
      },
      (this.options.delay ?? backOff)(this.failures++),
    )
  }

  private clear(timer: 'reconnectTimer' | 'pingTimer' | 'closeTimer'): void {
    const t = this[timer]
    if (t !== null) clearTimeout(t)
    this[timer] = null
  }

  private set(status: StreamStatus): void {
    if (status === this.state) return
    this.state = status
    for (const f of [...this.watchers]) f(status)
  }
}
