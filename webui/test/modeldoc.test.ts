import { describe, expect, it } from 'vitest'
import { begin, redo, step, undo } from '../src/lib/history'
import { layoutGraph, NODE } from '../src/lib/layout'
import {
  addLayer,
  connect,
  disconnect,
  insertOnEdge,
  parameterText,
  parameterValue,
  paste,
  readModel,
  removeNodes,
  rename,
  setOutput,
  setParameter,
  type LayerType,
  type ModelDoc,
} from '../src/lib/modeldoc'

const type = (name: string, max = 1, params: LayerType['params'] = []): LayerType => ({
  name,
  group: 'core',
  summary: '',
  min_inputs: 1,
  max_inputs: max,
  params,
})
const dense = type('dense', 1, [{ name: 'units', type: 'integer', required: true, default: null, min: 1 }])
const relu = type('relu')
const doc: ModelDoc = {
  format: 'trainyard.model/1',
  inputs: [{ name: 'x', shape: [4] }],
  layers: [
    { name: 'a', type: 'dense', inputs: ['x'], config: { units: 8 } },
    { name: 'b', type: 'dense', inputs: ['a'], config: { units: 3 } },
  ],
  outputs: ['b'],
}
const edges = (d: ModelDoc) => d.layers.flatMap((l) => (l.inputs ?? []).map((i) => `${i}>${l.name}`))

describe('a model under one’s hands', () => {
  it('grows behind a layer: what followed it follows the new one', () => {
    const { doc: made, name } = addLayer(doc, relu, 'a')
    expect(name).toBe('relu')
    expect(edges(made)).toEqual(['x>a', 'a>relu', 'relu>b'])
    expect(made.outputs).toEqual(['b'])
    expect(edges(doc)).toEqual(['x>a', 'a>b']) // the old one is untouched
    const last = addLayer(made, dense, 'b')
    expect(last.name).toBe('dense')
    expect(last.doc.outputs).toEqual(['dense'])
    expect(last.doc.layers.at(-1)).toEqual({ name: 'dense', type: 'dense', inputs: ['b'], config: { units: 64 } })
    expect(addLayer(last.doc, dense, 'b').name).toBe('dense_2')
  })

  it('is opened between two layers', () => {
    const branched = connect(doc, 'x', 'b', 2)
    expect(edges(insertOnEdge(branched, relu, 'x', 'b').doc)).toEqual(['x>relu', 'x>a', 'a>b', 'relu>b'])
  })

  it('closes over what is removed', () => {
    expect(edges(removeNodes(doc, new Set(['a'])))).toEqual(['x>b'])
    expect(removeNodes(doc, new Set(['b'])).outputs).toEqual(['a'])
    expect(removeNodes(doc, new Set(['a', 'b'])).outputs).toEqual([])
  })

  it('is connected within what a layer can take', () => {
    expect(edges(connect(doc, 'x', 'b', 1))).toEqual(['x>a', 'x>b'])
    expect(edges(connect(doc, 'x', 'b', 64))).toEqual(['x>a', 'a>b', 'x>b'])
    expect(connect(doc, 'b', 'b', 64)).toBe(doc)
    expect(edges(disconnect(doc, 'a', 'b'))).toEqual(['x>a'])
  })

  it('keeps its layers in an order in which each follows what it takes from', () => {
    const late: ModelDoc = { ...doc, layers: [...doc.layers, { name: 'c', type: 'relu', inputs: ['x'] }] }
    expect(connect(late, 'c', 'a', 1).layers.map((l) => l.name)).toEqual(['c', 'a', 'b'])
  })

  it('is renamed everywhere, never onto another', () => {
    const made = rename(doc, 'a', 'hidden')
    expect(edges(made)).toEqual(['x>hidden', 'hidden>b'])
    expect(rename(doc, 'b', 'logits').outputs).toEqual(['logits'])
    expect(rename(doc, 'a', 'b')).toBe(doc)
  })

  it('loses a parameter that goes back to its default, and an empty config with it', () => {
    expect(setParameter(doc, 'a', 'units', 9).layers[0]!.config).toEqual({ units: 9 })
    expect(setParameter(doc, 'a', 'units', undefined).layers[0]).toEqual({ name: 'a', type: 'dense', inputs: ['x'] })
    expect(setOutput(doc, 'a', true).outputs).toEqual(['b', 'a'])
  })

  it('takes copies that hang together as the originals do', () => {
    const { doc: made, names } = paste(doc, doc.layers)
    expect(names).toEqual(['a_2', 'b_2'])
    expect(edges(made)).toEqual(['x>a', 'a>b', 'x>a_2', 'a_2>b_2'])
  })

  it('is only drawn when it can be', () => {
    expect(readModel(JSON.stringify(doc))).toEqual(doc)
    for (const bad of ['{', '3', '{}', JSON.stringify({ ...doc, layers: [{ name: 'x', type: 'relu' }] })])
      expect(readModel(bad)).toBeNull()
    expect(readModel(JSON.stringify({ ...doc, layers: [{ name: 'a', type: 3 }] }))).toBeNull()
    expect(readModel(JSON.stringify({ ...doc, layers: [{ name: 'a', type: 'relu', inputs: [1] }] }))).toBeNull()
  })

  it('has values as one writes them', () => {
    expect([parameterValue('3', 'pair'), parameterValue('3, 5', 'pair'), parameterValue('3x5', 'pair')]).toEqual([
      3,
      [3, 5],
      [3, 5],
    ])
    expect(parameterValue('same', 'padding')).toBe('same')
    expect(parameterValue(' ', 'integer')).toBeUndefined()
    expect(parameterText([3, 5])).toBe('3, 5')
  })
})

describe('the place of each layer', () => {
  it('is below what it takes from and on nobody else', () => {
    const places = layoutGraph(
      ['x', 'a', 'b', 'c'],
      [
        ['x', 'a'],
        ['x', 'b'],
        ['a', 'c'],
        ['b', 'c'],
        ['gone', 'c'],
      ],
    )
    expect(places.get('c')!.y).toBeGreaterThan(places.get('a')!.y)
    expect(Math.abs(places.get('a')!.x - places.get('b')!.x)).toBeGreaterThanOrEqual(NODE.width)
  })

  it('is found for a chain of a thousand without a library', () => {
    const names = Array.from({ length: 1000 }, (_, i) => `l${i}`)
    const links = names.slice(1).map((n, i) => [names[i]!, n] as const)
    const places = layoutGraph(names, links)
    expect(places.size).toBe(1000)
    expect(places.get('l999')!.y).toBeGreaterThan(places.get('l998')!.y)
  })
})

describe('undo and redo', () => {
  it('go back and forth, and a new step forgets what was undone', () => {
    let h = step(step(begin('a'), 'b'), 'c')
    h = undo(h)
    expect(h.now).toBe('b')
    expect(redo(h).now).toBe('c')
    expect(undo(undo(undo(h))).now).toBe('a')
    expect(redo(step(h, 'd')).now).toBe('d')
  })

  it('take typing that goes on as one step', () => {
    let h = begin('')
    for (const [i, text] of ['a', 'ab', 'abc'].entries()) h = step(h, text, 1000 + 100 * i)
    expect(undo(h).now).toBe('')
    h = step(h, 'abcd', 5000)
    expect(undo(h).now).toBe('abc')
  })
})
