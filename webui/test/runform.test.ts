import { describe, expect, it } from 'vitest'
import type { Job } from '../src/api/types'
import { emptyRunForm, gridOf, MOST_RUNS, readRunForm, requestsOf } from '../src/lib/runform'
import { runAgainPath } from '../src/lib/runlink'

const form = { ...emptyRunForm, dataset: 'd@1', algorithm: 'a@1', model: 'm@1' }

describe('the form of a run', () => {
  it('asks for nothing that was not chosen', () => {
    expect(requestsOf(form)).toEqual([
      { dataset: 'd@1', algorithm: 'a@1', model: 'm@1', resources: { ranks: 2, cores_per_rank: 1 } },
    ])
  })

  it('makes a run of each combination of several values, and says in its name which', () => {
    const all = requestsOf({ ...form, name: 'grid', rate: '0.1, 0.01', batch: '32', epochs: '1 2' })
    expect(all.map((r) => r.overrides)).toEqual([
      { '/epochs': 1, '/batch_size': 32, '/optimizer/learning_rate': 0.1 },
      { '/epochs': 1, '/batch_size': 32, '/optimizer/learning_rate': 0.01 },
      { '/epochs': 2, '/batch_size': 32, '/optimizer/learning_rate': 0.1 },
      { '/epochs': 2, '/batch_size': 32, '/optimizer/learning_rate': 0.01 },
    ])
    expect(all[1]!.name).toBe('grid epochs=1 learning_rate=0.01')
  })

  it('takes other members as JSON or as words', () => {
    const others = [
      { pointer: '/schedule', value: '{"type": "cosine", "warmup_steps": 5}' },
      { pointer: '/optimizer/type', value: 'adam, sgd' },
      { pointer: '/metrics', value: '["accuracy"]' },
    ]
    const all = requestsOf({ ...form, others })
    expect(all.map((r) => r.overrides!['/optimizer/type'])).toEqual(['adam', 'sgd'])
    expect(all[0]!.overrides!['/schedule']).toEqual({ type: 'cosine', warmup_steps: 5 })
    expect(all[0]!.overrides!['/metrics']).toEqual(['accuracy'])
  })

  it('refuses more runs than anyone means', () => {
    const many = Array.from({ length: MOST_RUNS + 1 }, (_, i) => i + 1).join(' ')
    expect(requestsOf({ ...form, epochs: many })).toEqual([])
    expect(gridOf('1, x')).toBeNull()
    expect(gridOf('3 3')).toEqual([3])
  })

  it('comes back from the address of an earlier run as it was', () => {
    const job = {
      kind: 'train',
      task: 't',
      name: 'first',
      dataset: 'd@1',
      algorithm: 'a@1',
      model: 'm@1',
      resources: { ranks: 4, cores_per_rank: 2, memory_bytes: 2 ** 31, gpus_per_rank: 1, partition: 'big' },
      overrides: { '/epochs': 7, '/optimizer/beta1': 0.8 },
      time_limit_seconds: 3600,
    } as unknown as Job
    const q = new URL(runAgainPath(job)!, 'http://x').searchParams
    const [made] = requestsOf(readRunForm(q, emptyRunForm))
    expect(made).toEqual({
      name: 'first',
      dataset: 'd@1',
      algorithm: 'a@1',
      model: 'm@1',
      resources: job.resources,
      overrides: job.overrides,
      time_limit_seconds: 3600,
    })
  })
})
