import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { StreamClient, backOff, type SocketLike, type StreamStatus } from '../src/stream/client'

class FakeSocket implements SocketLike {
  static all: FakeSocket[] = []
  readyState = 0
  sent: Record<string, unknown>[] = []
  closed = false
  onopen: SocketLike['onopen'] = null
  onmessage: SocketLike['onmessage'] = null
  onclose: SocketLike['onclose'] = null
  onerror: SocketLike['onerror'] = null
  constructor() {
    FakeSocket.all.push(this)
  }
  send(text: string) {
    this.sent.push(JSON.parse(text) as Record<string, unknown>)
  }
  close() {
    this.closed = true
    this.readyState = 3
  }
  open() {
    this.readyState = 1
    this.onopen?.({})
  }
  say(o: object) {
    this.onmessage?.({ data: JSON.stringify(o) })
  }
  event(topic: string, seq: number) {
    this.say({ op: 'event', topic, seq, data: { n: seq } })
  }
  break() {
    this.readyState = 3
    this.onclose?.({})
  }
}

const last = () => FakeSocket.all.at(-1)!
const make = () =>
  new StreamClient({ open: () => new FakeSocket(), delay: () => 100, pingEvery: 1000, pongWithin: 500 })

beforeEach(() => {
  FakeSocket.all = []
  vi.useFakeTimers()
})
afterEach(() => vi.useRealTimers())

describe('one connection', () => {
  it('carries every topic and opens once', () => {
    const c = make()
    c.subscribe('job/1/metrics', 0, { event: () => undefined })
    c.subscribe('queue', undefined, { event: () => undefined })
    expect(FakeSocket.all).toHaveLength(1)
    last().open()
    expect(last().sent.map((m) => [m.op, m.topic, m.since])).toEqual([
      ['subscribe', 'job/1/metrics', 0],
      ['subscribe', 'queue', undefined],
    ])
    c.subscribe('nodes', undefined, { event: () => undefined })
    expect(last().sent.at(-1)).toMatchObject({ op: 'subscribe', topic: 'nodes' })
    c.close()
  })

  it('is given up when nobody has listened for a while, and not between two pages', () => {
    const c = make()
    const stop = c.subscribe('queue', undefined, { event: () => undefined })
    last().open()
    stop()
    expect(last().sent.at(-1)).toMatchObject({ op: 'unsubscribe', topic: 'queue' })
    vi.advanceTimersByTime(1000)
    const stop2 = c.subscribe('nodes', undefined, { event: () => undefined })
    vi.advanceTimersByTime(400)
    expect(FakeSocket.all).toHaveLength(1)
    stop2()
    vi.advanceTimersByTime(6000)
    expect(last().closed).toBe(true)
    expect(c.status).toBe('idle')
  })
})

describe('a broken connection', () => {
  it('goes on from the last seq: nothing missing, nothing twice', () => {
    const c = make()
    const got: number[] = []
    c.subscribe('job/1/metrics', 0, { event: (_, seq) => got.push(seq) })
    last().open()
    for (const s of [1, 2, 3]) last().event('job/1/metrics', s)
    last().break()
    expect(c.status).toBe('waiting')
    vi.advanceTimersByTime(100)
    expect(FakeSocket.all).toHaveLength(2)
    last().open()
    expect(last().sent[0]).toMatchObject({ topic: 'job/1/metrics', since: 3 })
    for (const s of [2, 3, 4, 5]) last().event('job/1/metrics', s) // a server that repeats
    expect(got).toEqual([1, 2, 3, 4, 5])
    c.close()
  })

  it('replays a live topic from where it was acknowledged', () => {
    const c = make()
    const positions: number[] = []
    c.subscribe('queue', undefined, { event: () => undefined, subscribed: (s) => positions.push(s) })
    last().open()
    const { id } = last().sent[0]!
    last().say({ op: 'subscribed', id, topic: 'queue', seq: 41 })
    last().break()
    vi.advanceTimersByTime(100)
    last().open()
    expect(last().sent[0]).toMatchObject({ topic: 'queue', since: 41 })
    expect(positions).toEqual([41])
    c.close()
  })

  it('is found by silence', () => {
    const c = make()
    c.subscribe('queue', undefined, { event: () => undefined })
    last().open()
    vi.advanceTimersByTime(1000)
    expect(last().sent.at(-1)).toMatchObject({ op: 'ping' })
    vi.advanceTimersByTime(499)
    expect(c.status).toBe('open')
    vi.advanceTimersByTime(2)
    expect(c.status).toBe('waiting')
    c.close()
  })

  it('is not suspected while there is a pong', () => {
    const c = make()
    c.subscribe('queue', undefined, { event: () => undefined })
    last().open()
    for (let i = 0; i < 5; i++) {
      vi.advanceTimersByTime(1100)
      last().say({ op: 'pong', id: 1 })
    }
    expect(c.status).toBe('open')
    expect(FakeSocket.all).toHaveLength(1)
    c.close()
  })

  it('says how it stands to whoever watches', () => {
    const c = make()
    const seen: StreamStatus[] = []
    c.watch((s) => seen.push(s))
    c.subscribe('queue', undefined, { event: () => undefined })
    last().open()
    last().break()
    c.retryNow()
    last().open()
    expect(seen).toEqual(['connecting', 'open', 'waiting', 'connecting', 'open'])
    c.close()
  })
})

it('ignores what is not JSON, not a known topic, and acknowledgements of older requests', () => {
  const c = make()
  const got: number[] = []
  c.subscribe('job/1/logs', 10, { event: (_, s) => got.push(s), subscribed: (s) => got.push(-s) })
  last().open()
  last().onmessage?.({ data: '{' })
  last().say({ op: 'subscribed', id: 999, topic: 'job/1/logs', seq: 50 })
  last().event('job/2/logs', 11)
  last().say({ op: 'event', topic: 'job/1/logs', seq: 'x' })
  last().say({ op: 'lagged', topic: 'job/1/logs', seq: 20 })
  last().event('job/1/logs', 11)
  expect(got).toEqual([11])
  c.close()
})

it('hands a refusal to the topic that asked', () => {
  const c = make()
  const details: string[] = []
  c.subscribe('job/1/logs', 0, { event: () => undefined, error: (d) => details.push(d) })
  last().open()
  last().say({ op: 'error', id: last().sent[0]!.id, detail: 'there is no job 1' })
  expect(details).toEqual(['there is no job 1'])
  c.close()
})

it('backs off to a bounded delay', () => {
  expect(backOff(0)).toBeLessThan(500)
  for (let n = 0; n < 60; n++) expect(backOff(n)).toBeLessThanOrEqual(15000 * 1.3)
})
