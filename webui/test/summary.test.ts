import { describe, expect, it } from 'vitest'
import type { Asset } from '../src/api/types'
import { curveOf, graphOf, summaryLine } from '../src/lib/summary'

const asset = (kind: Asset['kind'], summary: Record<string, unknown>): Asset => ({
  kind,
  name: 'x',
  version: 1,
  task: 't',
  description: '',
  metadata: {},
  digest: '',
  size: 1,
  created: '',
  created_by: '',
  url: '',
  verification: { format: '', kind, ok: true, trainer: '', seconds: 0, checks: [], summary },
})

describe('an asset in one line', () => {
  it('a dataset by its samples, shape and classes', () => {
    const info = { feature_shape: [1, 28, 28], classes: 10, samples: { train: 60000, test: 10000 } }
    expect(summaryLine(asset('dataset', { dataset_info: info }), 'en')).toBe('60,000 + 10,000 · 1×28×28 · 10 classes')
    expect(summaryLine(asset('dataset', { dataset_info: { ...info, classes: 0 } }), 'en')).toBe(
      '60,000 + 10,000 · 1×28×28',
    )
  })
  it('a model by its parameters, an algorithm by its optimizer', () => {
    expect(summaryLine(asset('model', { parameters: 421642 }), 'en')).toBe('422k parameters')
    expect(summaryLine(asset('algorithm', { optimizer: 'adam', batch_size: 64, epochs: 3 }), 'en')).toBe(
      'adam · batch 64 · 3 epochs',
    )
  })
  it('nothing when the trainer said nothing', () => {
    for (const kind of ['dataset', 'model', 'algorithm', 'layer'] as const)
      expect(summaryLine(asset(kind, {}), 'en')).toBe('')
  })
})

it('a learning-rate curve is over epochs, and only of numbers', () => {
  expect(curveOf({ curve: { steps_per_epoch: 100, points: [[0, 1], [50, 0.5], ['x', 1], [100]] } })).toEqual({
    epochs: [0, 0.5],
    rates: [1, 0.5],
  })
  expect(curveOf({})).toBeNull()
  expect(
    curveOf({
      curve: {
        steps_per_epoch: 0,
        points: [
          [0, 1],
          [1, 1],
        ],
      },
    }),
  ).toBeNull()
})

it('a graph is one only with nodes and edges', () => {
  expect(graphOf({ graph: { nodes: [] } })).toBeNull()
  expect(graphOf({ graph: { nodes: [], edges: [] } })).not.toBeNull()
})
