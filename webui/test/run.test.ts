import { describe, expect, it } from 'vitest'
import type { Job } from '../src/api/types'
import { classScores, readReport, worstPairs } from '../src/lib/report'
import { commandLine, requestOf, runAgainPath, shellWord } from '../src/lib/runlink'

const job = {
  id: 7,
  kind: 'train',
  name: 'a b',
  task: 'digits',
  dataset: 'd@1',
  algorithm: 'a@2',
  model: 'm@3',
  resources: { ranks: 2, cores_per_rank: 1, memory_bytes: 3 * 2 ** 30, gpus_per_rank: 0, partition: 'default' },
  overrides: { '/epochs': 5, '/optimizer/type': 'sgd' },
  time_limit_seconds: 600,
  priority: 0,
} as unknown as Job

describe('a run again', () => {
  it('as the address of the form, with everything that was chosen', () => {
    const url = new URL(runAgainPath(job)!, 'http://x')
    expect(url.pathname).toBe('/tasks/digits/run')
    expect(Object.fromEntries(url.searchParams)).toMatchObject({ ranks: '2', memory: '3221225472', limit: '600' })
    expect(url.searchParams.getAll('set')).toEqual(['/epochs=5', '/optimizer/type="sgd"'])
    expect(runAgainPath({ ...job, task: null })).toBeNull()
  })

  it('as a command line that a shell reads as it is meant', () => {
    expect(commandLine('digits', requestOf(job)!)).toBe(
      "trainyard train --task digits --dataset d@1 --algorithm a@2 --model m@3 --name 'a b' --ranks 2 " +
        '--cores-per-rank 1 --memory 3G --set /epochs=5 --set /optimizer/type=sgd --time-limit 600s',
    )
    expect(shellWord("it's; rm -rf $HOME")).toBe(`'it'\\''s; rm -rf $HOME'`)
    expect(shellWord('')).toBe("''")
  })
})

describe('a report', () => {
  const report = readReport({
    epochs: [{ epoch: 1, train: { loss: 0.5 }, eval: { loss: 0.4, accuracy: 0.9 }, learning_rate: 0.1, seconds: 2 }],
    confusion_matrix: {
      of: 'test',
      labels: ['cat', 'dog'],
      rows: [
        [8, 2],
        [1, 9],
      ],
    },
  })

  it('gives each class its recall and precision', () => {
    const [cat, dog] = classScores(report.confusion!)
    expect(cat).toEqual({ recall: 0.8, precision: 8 / 9, total: 10 })
    expect(dog).toEqual({ recall: 0.9, precision: 9 / 11, total: 10 })
    expect(worstPairs(report.confusion!, 5)).toEqual([
      { truth: 0, said: 1, count: 2 },
      { truth: 1, said: 0, count: 1 },
    ])
    expect(report.epochs[0]!.eval.accuracy).toBe(0.9)
  })

  it('of any other shape is read as saying nothing', () => {
    for (const v of [null, 3, [], { epochs: 'x', confusion_matrix: [] }, { confusion_matrix: { rows: [[1], [2, 3]] } }])
      expect(readReport(v)).toMatchObject({ epochs: [], confusion: null })
  })
})
