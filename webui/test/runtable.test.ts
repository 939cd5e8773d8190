import { describe, expect, it } from 'vitest'
import type { Job } from '../src/api/types'
import { compareSettings, flatten, override, settingsOf } from '../src/lib/differences'
import { place } from '../src/lib/dimension'
import { groupJobs, matches, readTable, sortJobs, writeTable } from '../src/lib/runtable'

const job = (id: number, more: object = {}): Job =>
  ({
    id,
    kind: 'train',
    name: `run ${id}`,
    task: 'digits',
    owner: 'ada',
    state: 'COMPLETED',
    model: 'cnn@1',
    dataset: 'mnist@1',
    algorithm: 'adam@1',
    overrides: {},
    nodes: ['n1'],
    resources: { ranks: 2 },
    started: null,
    ended: null,
    progress: null,
    ...more,
  }) as unknown as Job
const accuracy = (v: number) => ({ progress: { step: 1, steps: 1, values: { 'eval/accuracy': v } } })

describe('the table of runs', () => {
  it('has its state in the address and nothing there that is usual', () => {
    const usual = writeTable(new URLSearchParams('state=FAILED'), {})
    expect(usual.toString()).toBe('state=FAILED')
    const changed = writeTable(usual, { q: 'x', sort: 'accuracy', descending: true, group: 'task', columns: ['state'] })
    expect(readTable(changed)).toEqual({
      q: 'x',
      sort: 'accuracy',
      descending: true,
      group: 'task',
      columns: ['state'],
    })
    expect(changed.get('state')).toBe('FAILED')
    expect(readTable(new URLSearchParams('sort=__proto__&group=x&cols=state,evil')).sort).toBe('id')
  })

  it('orders by any column, what has no value last', () => {
    const jobs = [job(1, accuracy(0.9)), job(2), job(3, accuracy(0.95)), job(4, accuracy(0.1))]
    expect(sortJobs(jobs, 'accuracy', true, 0).map((j) => j.id)).toEqual([3, 1, 4, 2])
    expect(sortJobs(jobs, 'accuracy', false, 0).map((j) => j.id)).toEqual([4, 1, 3, 2])
    const named = [job(1, { name: 'run 10' }), job(2, { name: 'run 9' })]
    expect(sortJobs(named, 'name', false, 0).map((j) => j.id)).toEqual([2, 1])
  })

  it('searches everywhere, in one field, and without', () => {
    const j = job(7, { overrides: { '/optimizer/learning_rate': 0.5 } })
    for (const q of ['', '#7', 'CNN digits', 'task:digits', 'learning_rate', '-failed', 'node:n1 owner:ada'])
      expect(matches(j, q), q).toBe(true)
    for (const q of ['task:mnist', 'cnn roses', '-digits', 'owner:bob']) expect(matches(j, q), q).toBe(false)
  })

  it('groups in the order in which groups first appear', () => {
    const groups = groupJobs([job(1), job(2, { task: 'iris' }), job(3)], 'task')
    expect(groups.map((g) => [g.key, g.jobs.map((j) => j.id)])).toEqual([
      ['digits', [1, 3]],
      ['iris', [2]],
    ])
  })
})

describe('differences', () => {
  const algorithm = { name: 'a', epochs: 3, optimizer: { type: 'adam', learning_rate: 0.1 }, metrics: ['accuracy'] }

  it('are those of the algorithm as it ran', () => {
    const a = settingsOf(job(1), algorithm)
    const b = settingsOf(job(2, { overrides: { '/epochs': 5, '/optimizer': { type: 'sgd' } } }), algorithm)
    const rows = compareSettings([a, b])
    expect(rows.filter((r) => r.differs).map((r) => [r.key, ...r.values])).toEqual([
      ['/epochs', '3', '5'],
      ['/optimizer/type', 'adam', 'sgd'],
      ['/optimizer/learning_rate', '0.1', null],
    ])
    expect(rows.find((r) => r.key === '/metrics')!.values).toEqual(['["accuracy"]', '["accuracy"]'])
  })

  it('know a pointer by RFC 6901', () => {
    expect([...flatten({ 'a/b': { '~': 1 } }).keys()]).toEqual(['/a~1b/~0'])
    expect([...override(flatten({ ab: 1, a: { b: 2 } }), { '/a': 3 })]).toEqual([
      ['/ab', 1],
      ['/a', 3],
    ])
  })

  it('are placed along an axis by size, by size of their logarithm, or by name', () => {
    expect(place(['1', '3', null, '2'], null).at).toEqual([0, 1, null, 0.5])
    expect(place([0.001, 0.1, 0.01], null).at[2]).toBeCloseTo(0.5)
    expect(place(['sgd', 'adam'], null).at).toEqual([1, 0])
    expect(place([4, 4], null).at).toEqual([0.5, 0.5])
  })
})
