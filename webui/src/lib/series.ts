/* Metric records of a run, in order of arrival, made into series that can be drawn. Pure: no clock, no DOM.
 *
 * Records of a later attempt supersede what earlier ones did past the step from which it resumed (architecture.md 6), so the
 * curve is always that of the model one gets.
 */
import type { MetricRecord, Sequenced } from '../api/types'

export interface Series {
  name: string // "train/loss"
  step: number[]
  time: number[] // seconds since 1970
  value: (number | null)[]
  /** how many of the values are numbers */
  known: number
}

export interface RunInfo {
  steps: number | null
  epochs: number | null
  ranks: number | null
  samples: number | null
  parameters: number | null
  backend: string | null
}

export interface LiveProgress {
  step: number
  steps: number
  epoch: number
  epochs: number
  secondsLeft: number | null
}

/** time: seconds since the run began; wall: seconds since 1970 */
export type Axis = 'step' | 'epoch' | 'time' | 'wall'

export class MetricSeries {
  readonly series = new Map<string, Series>()
  readonly info: RunInfo = { steps: null, epochs: null, ranks: null, samples: null, parameters: null, backend: null }
  private attempt = 0
  private judged = true // whether it is known from where the present attempt goes on
  private lastSeq = -1
  private firstTime: number | null = null
  private recent: { step: number; t: number }[] = []
  private lastStep = 0
  private ended = false
  points = 0

  /** False when the record changes nothing that is drawn. */
  add(e: Sequenced<MetricRecord>): boolean {
    if (e.seq <= this.lastSeq) return false
    this.lastSeq = e.seq
    const r = e.record
    if (e.attempt > this.attempt) {
      this.attempt = e.attempt
      this.judged = this.points === 0
      this.recent = []
      this.ended = false
    }
    this.firstTime ??= r.t
    if (r.kind === 'start') {
      this.info.steps = r.steps ?? null
      this.info.epochs = r.epochs ?? null
      this.info.ranks = r.ranks ?? null
      this.info.samples = r.samples ?? null
      this.info.parameters = r.parameters ?? null
      this.info.backend = r.backend ?? null
      return true
    }
    if (!this.judged || r.kind === 'resume') {
      this.judged = true
      this.truncate(r.kind === 'resume' ? (r.step ?? 0) : -1)
    }
    if (r.kind === 'end') this.ended = true
    if (typeof r.step === 'number') {
      this.lastStep = r.step
      this.recent.push({ step: r.step, t: r.t })
      while (this.recent.length > 2 && r.t - this.recent[0]!.t > 30) this.recent.shift()
    }
    if ((r.kind === 'train' || r.kind === 'eval') && typeof r.step === 'number' && r.values)
      for (const [key, v] of Object.entries(r.values)) this.push(`${r.kind}/${key}`, r.step, r.t, v)
    return true
  }

  private push(name: string, step: number, t: number, v: number | null): void {
    let s = this.series.get(name)
    if (!s) {
      s = { name, step: [], time: [], value: [], known: 0 }
      this.series.set(name, s)
    }
    s.step.push(step)
    s.time.push(t)
    const known = typeof v === 'number' && Number.isFinite(v)
    s.value.push(known ? v : null)
    if (known) s.known++
    this.points++
  }

  private truncate(after: number): void {
    for (const s of this.series.values()) {
      let n = s.step.length
      while (n > 0 && s.step[n - 1]! > after) n--
      if (n === s.step.length) continue
      this.points -= s.step.length - n
      // A new array, not a shorter one: whoever computed something from the old one can tell.
      s.step = s.step.slice(0, n)
      s.time = s.time.slice(0, n)
      s.value = s.value.slice(0, n)
      s.known = s.value.reduce<number>((k, v) => (v === null ? k : k + 1), 0)
    }
  }

  get begun(): number | null {
    return this.firstTime
  }

  last(name: string): number | null {
    const s = this.series.get(name)
    return s?.value.at(-1) ?? null
  }

  /** From the records themselves: newer than what the job row says. */
  progress(): LiveProgress | null {
    const { steps, epochs } = this.info
    if (!steps || !epochs) return null
    const step = this.ended ? steps : Math.min(this.lastStep, steps)
    return {
      step,
      steps,
      epochs,
      epoch: Math.min(epochs, (step * epochs) / steps),
      secondsLeft: this.secondsLeft(step),
    }
  }

  private secondsLeft(step: number): number | null {
    const { steps } = this.info
    if (this.ended || !steps) return null
    const a = this.recent[0]
    const b = this.recent.at(-1)
    if (!a || !b || b.t <= a.t || b.step <= a.step) return null
    return ((steps - step) * (b.t - a.t)) / (b.step - a.step)
  }

  /** Metric names without their side: "loss" for train/loss and eval/loss; the well-known first. */
  keys(): string[] {
    const order = ['loss', 'accuracy', 'learning_rate', 'samples_per_second']
    const rank = (k: string) => (order.includes(k) ? order.indexOf(k) : order.length)
    const keys = new Set([...this.series.keys()].map((n) => n.slice(n.indexOf('/') + 1)))
    return [...keys].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b))
  }

  xOf(s: Series, i: number, axis: Axis): number {
    if (axis === 'time') return s.time[i]! - (this.firstTime ?? 0)
    if (axis === 'wall') return s.time[i]!
    const { steps, epochs } = this.info
    if (axis === 'epoch' && steps && epochs) return (s.step[i]! * epochs) / steps
    return s.step[i]!
  }
}

/** Exponential moving average with its start-up bias removed; weight 0 leaves the values as they are. Gaps stay gaps.
 * It remembers where it was: values that were only added since the last call cost nothing twice. */
export class Smoother {
  private out: (number | null)[] = []
  private average = 0
  private mass = 0
  private weight = -1
  private source: readonly (number | null)[] | null = null

  /** The result is the same growing array at each call. */
  of(values: readonly (number | null)[], weight: number): readonly (number | null)[] {
    if (weight <= 0) return values
    if (weight !== this.weight || values !== this.source || values.length < this.out.length) {
      this.out = []
      this.average = this.mass = 0
      this.weight = weight
      this.source = values
    }
    for (let i = this.out.length; i < values.length; i++) {
      const v = values[i] ?? null
      if (v === null) {
        this.out.push(null)
        continue
      }
      this.average = this.average * weight + v * (1 - weight)
      this.mass = this.mass * weight + (1 - weight)
      this.out.push(this.average / this.mass)
    }
    return this.out
  }
}

export function smooth(values: readonly (number | null)[], weight: number): (number | null)[] {
  return [...new Smoother().of(values, weight)]
}

export interface Line {
  x: number[]
  y: (number | null)[]
}

/** Lines with their own x made into uPlot's form: one sorted x and a column a line, undefined where a line has no point. */
export function align(lines: readonly Line[]): [number[], ...(number | null | undefined)[][]] {
  if (lines.length === 1) return [lines[0]!.x, lines[0]!.y]
  const at = lines.map(() => 0)
  const x: number[] = []
  const columns: (number | null | undefined)[][] = lines.map(() => [])
  for (;;) {
    let next = Infinity
    for (let k = 0; k < lines.length; k++) {
      const v = lines[k]!.x[at[k]!]
      if (v !== undefined && v < next) next = v
    }
    if (next === Infinity) return [x, ...columns]
    x.push(next)
    for (let k = 0; k < lines.length; k++) {
      const line = lines[k]!
      if (line.x[at[k]!] === next) {
        columns[k]!.push(line.y[at[k]!])
        // two records at one step (a repeated evaluation): the later one counts
        while (line.x[at[k]!] === next) columns[k]![columns[k]!.length - 1] = line.y[at[k]!++]
      } else columns[k]!.push(undefined)
    }
  }
}

/** At most n values, each the mean of its share: for a sparkline. */
export function thin(values: readonly (number | null)[], n: number): number[] {
  const v = values.filter((x): x is number => x !== null)
  if (v.length <= n) return v
  return Array.from({ length: n }, (_, i) => {
    const part = v.slice(Math.floor((i * v.length) / n), Math.floor(((i + 1) * v.length) / n))
    return part.reduce((a, b) => a + b, 0) / part.length
  })
}
