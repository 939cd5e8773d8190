/* A model file as something that can be edited by hand movements: each function takes a document and gives a new one. The
 * text stays the truth; what a document has that is not known here (a comment member, an attribute to come) stays in it. */

import { withMember } from './members'

export interface LayerDoc {
  name: string
  type: string
  inputs?: string[]
  config?: Record<string, unknown>
  [other: string]: unknown
}
export interface InputDoc {
  name: string
  shape: number[]
  dtype?: string
  [other: string]: unknown
}
export interface ModelDoc {
  inputs: InputDoc[]
  layers: LayerDoc[]
  outputs: string[]
  [other: string]: unknown
}

/** A parameter of a layer type, as /layer-types and a layer's verification describe it. */
export interface LayerParameter {
  name: string
  type: string
  required?: boolean
  default?: unknown
  min?: number
  max?: number
  choices?: unknown[]
  help?: string
}
export interface LayerType {
  name: string
  group: string
  summary: string
  formula?: string
  source?: string
  min_inputs: number
  max_inputs: number
  params: LayerParameter[]
}

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)
const named = (v: unknown): v is { name: string } & Record<string, unknown> =>
  isObject(v) && typeof v.name === 'string' && v.name !== ''

/** null while the text is no model that could be drawn: broken JSON, layers without names, two of one name. */
export function readModel(text: string): ModelDoc | null {
  let v: unknown
  try {
    v = JSON.parse(text)
  } catch {
    return null
  }
  if (!isObject(v) || !Array.isArray(v.inputs) || !Array.isArray(v.layers) || !Array.isArray(v.outputs)) return null
  const nodes = [...(v.inputs as unknown[]), ...(v.layers as unknown[])]
  if (!nodes.every(named) || new Set(nodes.map((n) => n.name)).size !== nodes.length) return null
  const layers = (v.layers as Record<string, unknown>[]).every(
    (l) =>
      typeof l.type === 'string' &&
      (l.inputs === undefined || (Array.isArray(l.inputs) && l.inputs.every((i) => typeof i === 'string'))) &&
      (l.config === undefined || isObject(l.config)),
  )
  const inputs = (v.inputs as Record<string, unknown>[]).every((i) => Array.isArray(i.shape))
  const outputs = (v.outputs as unknown[]).every((o) => typeof o === 'string')
  return layers && inputs && outputs ? (v as ModelDoc) : null
}

export const inputsOf = (layer: LayerDoc): readonly string[] => layer.inputs ?? []
export const namesOf = (doc: ModelDoc): string[] => [...doc.inputs, ...doc.layers].map((n) => n.name)

export function freeName(doc: ModelDoc, wish: string): string {
  const taken = new Set(namesOf(doc))
  const stem = wish.replace(/_?\d+$/, '') || wish
  if (!taken.has(wish)) return wish
  for (let n = 2; ; n++) if (!taken.has(`${stem}_${n}`)) return `${stem}_${n}`
}

/** What a new layer of a type needs before it can be verified: its required parameters, with a usual value. */
export function startConfig(type: LayerType): Record<string, unknown> | undefined {
  const usual: Record<string, unknown> = { units: 64, filters: 16 }
  const config = Object.fromEntries(
    type.params
      .filter((p) => p.required && (p.default === null || p.default === undefined))
      .map((p) => [p.name, usual[p.name] ?? p.choices?.[0] ?? Math.max(1, p.min ?? 1)]),
  )
  return Object.keys(config).length ? config : undefined
}

/** Layers in an order in which each comes after what it takes from; those of a cycle at the end, as they were. */
function inOrder(doc: ModelDoc): ModelDoc {
  const done = new Set(doc.inputs.map((i) => i.name))
  const known = new Set(namesOf(doc))
  const layers: LayerDoc[] = []
  let rest = doc.layers
  while (rest.length) {
    const later: LayerDoc[] = []
    for (const l of rest) {
      if (inputsOf(l).every((i) => done.has(i) || !known.has(i))) {
        done.add(l.name)
        layers.push(l)
      } else later.push(l)
    }
    if (later.length === rest.length) break
    rest = later
  }
  return { ...doc, layers: layers.length === doc.layers.length ? layers : [...layers, ...rest] }
}

/**
 * A new layer. after: the node it takes from; what took from that node takes from the new layer instead, if that is asked
 * for (between), and an output that ends there now ends at the new layer. Gives the document and the layer's name.
 */
export function addLayer(
  doc: ModelDoc,
  type: LayerType,
  after: string | null,
  between = true,
): { doc: ModelDoc; name: string } {
  const name = freeName(doc, type.name)
  const config = startConfig(type)
  const layer: LayerDoc = { name, type: type.name, inputs: after === null ? [] : [after], ...(config && { config }) }
  if (after === null) return { doc: { ...doc, layers: [...doc.layers, layer] }, name }
  const moved = (from: readonly string[]) => from.map((i) => (i === after ? name : i))
  const at = doc.layers.findIndex((l) => l.name === after) + 1
  const layers = between
    ? doc.layers.map((l) => (inputsOf(l).includes(after) ? { ...l, inputs: moved(inputsOf(l)) } : l))
    : [...doc.layers]
  layers.splice(at, 0, layer)
  return { doc: inOrder({ ...doc, layers, outputs: between ? moved(doc.outputs) : doc.outputs }), name }
}

/** On the edge between two layers. */
export function insertOnEdge(
  doc: ModelDoc,
  type: LayerType,
  from: string,
  to: string,
): { doc: ModelDoc; name: string } {
  const added = addLayer(doc, type, from, false)
  const layers = added.doc.layers.map((l) =>
    l.name === to ? { ...l, inputs: inputsOf(l).map((i) => (i === from ? added.name : i)) } : l,
  )
  return { doc: inOrder({ ...added.doc, layers }), name: added.name }
}

/** What took from a removed layer takes from what that layer took from. */
export function removeNodes(doc: ModelDoc, names: ReadonlySet<string>): ModelDoc {
  const byName = new Map(doc.layers.map((l) => [l.name, l]))
  const resolve = (name: string, seen: ReadonlySet<string> = new Set()): string[] => {
    if (!names.has(name)) return [name]
    const layer = byName.get(name)
    if (!layer || seen.has(name)) return []
    return inputsOf(layer).flatMap((i) => resolve(i, new Set([...seen, name])))
  }
  const unique = (list: readonly string[]) => [...new Set(list.flatMap((i) => resolve(i)))]
  const isInput = new Set(doc.inputs.map((i) => i.name))
  return {
    ...doc,
    inputs: doc.inputs.filter((i) => !names.has(i.name)),
    layers: doc.layers
      .filter((l) => !names.has(l.name))
      .map((l) => (inputsOf(l).some((i) => names.has(i)) ? { ...l, inputs: unique(inputsOf(l)) } : l)),
    outputs: unique(doc.outputs).filter((o) => !isInput.has(o)),
  }
}

/** A layer that takes one input takes the new one instead of its old one. */
export function connect(doc: ModelDoc, from: string, to: string, most: number): ModelDoc {
  const layer = doc.layers.find((l) => l.name === to)
  if (!layer || from === to || inputsOf(layer).includes(from)) return doc
  const inputs =
    inputsOf(layer).length >= most ? [...inputsOf(layer).slice(0, most - 1), from] : [...inputsOf(layer), from]
  return inOrder(setLayer(doc, to, { inputs }))
}

export function disconnect(doc: ModelDoc, from: string, to: string): ModelDoc {
  const layer = doc.layers.find((l) => l.name === to)
  return layer ? setLayer(doc, to, { inputs: inputsOf(layer).filter((i) => i !== from) }) : doc
}

/** A member that becomes undefined goes. */
export function setLayer(doc: ModelDoc, name: string, change: Partial<LayerDoc>): ModelDoc {
  return {
    ...doc,
    layers: doc.layers.map((l) =>
      l.name === name ? Object.entries(change).reduce((next, [k, v]) => withMember(next, k, v), l) : l,
    ),
  }
}

/** value undefined: the parameter goes back to its default. */
export function setParameter(doc: ModelDoc, name: string, key: string, value: unknown): ModelDoc {
  const layer = doc.layers.find((l) => l.name === name)
  if (!layer) return doc
  const config = withMember(layer.config ?? {}, key, value)
  return setLayer(doc, name, { config: Object.keys(config).length ? config : undefined })
}

export function rename(doc: ModelDoc, from: string, to: string): ModelDoc {
  if (from === to || to === '' || namesOf(doc).includes(to)) return doc
  const swap = (n: string) => (n === from ? to : n)
  return {
    ...doc,
    inputs: doc.inputs.map((i) => (i.name === from ? { ...i, name: to } : i)),
    layers: doc.layers.map((l) => ({
      ...l,
      name: swap(l.name),
      ...(l.inputs && { inputs: l.inputs.map(swap) }),
    })),
    outputs: doc.outputs.map(swap),
  }
}

export function setInput(doc: ModelDoc, name: string, change: Partial<InputDoc>): ModelDoc {
  return { ...doc, inputs: doc.inputs.map((i) => (i.name === name ? { ...i, ...change } : i)) }
}

export function setOutput(doc: ModelDoc, name: string, on: boolean): ModelDoc {
  const without = doc.outputs.filter((o) => o !== name)
  return { ...doc, outputs: on ? [...without, name] : without }
}

/** Copies of some layers, connected among themselves as they were, and to the same others. */
export function paste(doc: ModelDoc, copied: readonly LayerDoc[]): { doc: ModelDoc; names: string[] } {
  let next = doc
  const renamed = new Map<string, string>()
  for (const l of copied) {
    const name = freeName(next, l.name)
    renamed.set(l.name, name)
    next = { ...next, layers: [...next.layers, { ...l, name }] }
  }
  const known = new Set(namesOf(next))
  const names = new Set(renamed.values())
  const layers = next.layers.map((l) =>
    names.has(l.name)
      ? {
          ...l,
          inputs: inputsOf(l)
            .map((i) => renamed.get(i) ?? i)
            .filter((i) => known.has(i)),
        }
      : l,
  )
  return { doc: inOrder({ ...next, layers }), names: [...names] }
}

/** "3" -> 3, "3, 5" -> [3, 5], "same" -> "same"; '' -> undefined (the default). */
export function parameterValue(text: string, type: string): unknown {
  const word = text.trim()
  if (word === '') return undefined
  if (type === 'boolean') return word === 'true'
  const parts = word
    .replace(/^\[|\]$/g, '')
    .split(/[,x×\s]+/)
    .filter(Boolean)
    .map(Number)
  if (parts.length && parts.every((n) => Number.isFinite(n)) && type !== 'choice')
    return parts.length === 1 ? parts[0] : parts
  return word
}

export const parameterText = (value: unknown): string =>
  value === undefined || value === null ? '' : Array.isArray(value) ? value.join(', ') : String(value)
