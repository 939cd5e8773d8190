/* What was before, for undo and redo. Typing that follows typing within a moment is one step. */
export interface History<T> {
  past: readonly T[]
  now: T
  future: readonly T[]
  /** of the last step, to join what belongs together; 0: joined to nothing */
  at: number
}

const MOST = 300
const TOGETHER = 600

export const begin = <T>(now: T): History<T> => ({ past: [], now, future: [], at: 0 })

/** at: when, in milliseconds, if this step may be joined to the one before; 0 if it stands alone. */
export function step<T>(h: History<T>, now: T, at = 0): History<T> {
  if (now === h.now) return h
  if (at && h.at && at - h.at < TOGETHER && h.past.length) return { ...h, now, future: [], at }
  return { past: [...h.past.slice(1 - MOST), h.now], now, future: [], at }
}

export function undo<T>(h: History<T>): History<T> {
  const now = h.past.at(-1)
  return now === undefined ? h : { past: h.past.slice(0, -1), now, future: [h.now, ...h.future], at: 0 }
}

export function redo<T>(h: History<T>): History<T> {
  const [now, ...future] = h.future
  return now === undefined ? h : { past: [...h.past, h.now], now, future, at: 0 }
}
