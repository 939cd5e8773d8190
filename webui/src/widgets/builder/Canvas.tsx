/* The model as one draws it: layers to take hold of, edges with the shape that flows along them. */
import {
  Background,
  Controls,
  Handle,
  MiniMap,
  Position,
  ReactFlow,
  useReactFlow,
  type Connection,
  type Edge,
  type Node,
  type NodeChange,
  type NodeHandle,
  type NodeProps,
} from '@xyflow/react'
import '@xyflow/react/dist/base.css'
import { useEffect, useMemo, useState, type DragEvent } from 'react'
import { useI18n } from '../../i18n'
import { formatCompact } from '../../lib/format'
import { layoutGraph, NODE, type Place } from '../../lib/layout'
import { inputsOf, parameterText, type ModelDoc } from '../../lib/modeldoc'

/** What verification found out about a layer. */
export interface NodeFacts {
  shape: readonly number[]
  parameters: number
  dtype?: string
}
export interface NodeMark {
  status: 'failed' | 'warned'
  message: string
}

interface Data extends Record<string, unknown> {
  name: string
  type: string
  group: string
  detail: string
  facts: NodeFacts | undefined
  mark: NodeMark | undefined
  role: 'input' | 'output' | 'layer'
  locale: string
}
type LayerNode = Node<Data, 'layer'>

function Layer({ data, selected }: NodeProps<LayerNode>) {
  const { facts, mark, role } = data
  return (
    <div
      className={`layer-node ${role} ${selected ? 'selected' : ''} ${mark?.status ?? ''}`}
      data-group={data.group}
      data-layer={data.name}
      data-mark={mark?.status}
      title={mark?.message ?? data.detail}
    >
      {role !== 'input' && <Handle type="target" position={Position.Top} />}
      <p>
        <b>{data.name}</b>
        {facts?.parameters ? <em>{formatCompact(facts.parameters, data.locale)}</em> : null}
      </p>
      <p>
        <span>{data.type}</span>
        <code>{facts ? facts.shape.join('×') : data.detail}</code>
      </p>
      <Handle type="source" position={Position.Bottom} />
    </div>
  )
}

const nodeTypes = { layer: Layer }
const SIZE = 8
/** Said beforehand, so that nothing has to be measured before the edges can be drawn. */
const handlesOf = (role: Data['role']): NodeHandle[] => {
  const at = { x: NODE.width / 2 - SIZE / 2, width: SIZE, height: SIZE, id: null }
  const top = { ...at, type: 'target' as const, position: Position.Top, y: -SIZE / 2 }
  const bottom = { ...at, type: 'source' as const, position: Position.Bottom, y: NODE.height - SIZE / 2 }
  return role === 'input' ? [bottom] : [top, bottom]
}

export interface CanvasProps {
  doc: ModelDoc
  groupOf: (type: string) => string
  facts: ReadonlyMap<string, NodeFacts>
  marks: ReadonlyMap<string, NodeMark>
  selected: ReadonlySet<string>
  onSelect: (names: ReadonlySet<string>) => void
  moved: ReadonlyMap<string, Place>
  onMove: (name: string, at: Place) => void
  onRemove: (names: ReadonlySet<string>) => void
  onConnect: (from: string, to: string) => void
  onDisconnect: (from: string, to: string) => void
  /** a layer type let go over the canvas; edge: over which */
  onDrop: (type: string, edge: { from: string; to: string } | null) => void
  /** changes to bring a layer into view */
  focus: { name: string; at: number } | null
}

export const DRAG_TYPE = 'application/x-trainyard-layer'

export function edgesOf(doc: ModelDoc): [string, string][] {
  return doc.layers.flatMap((l) => inputsOf(l).map((i): [string, string] => [i, l.name]))
}

function useNodes(props: CanvasProps): LayerNode[] {
  const { doc, groupOf, facts, marks, selected, moved } = props
  const { locale } = useI18n()
  // Only names and edges decide the places: editing a parameter moves nothing.
  const shape = JSON.stringify([[...doc.inputs, ...doc.layers].map((n) => n.name), edgesOf(doc)])
  const places = useMemo(() => {
    const [names, edges] = JSON.parse(shape) as [string[], [string, string][]]
    return layoutGraph(names, edges)
  }, [shape])
  return useMemo(() => {
    const outputs = new Set(doc.outputs)
    const node = (name: string, data: Pick<Data, 'type' | 'group' | 'detail' | 'role'>): LayerNode => ({
      id: name,
      type: 'layer',
      position: moved.get(name) ?? places.get(name) ?? { x: 0, y: 0 },
      selected: selected.has(name),
      data: { ...data, name, facts: facts.get(name), mark: marks.get(name), locale },
      width: NODE.width,
      height: NODE.height,
      measured: { ...NODE },
      handles: handlesOf(data.role),
    })
    return [
      ...doc.inputs.map((i) =>
        node(i.name, { type: i.dtype ?? 'float32', group: 'input', detail: i.shape.join('×'), role: 'input' }),
      ),
      ...doc.layers.map((l) =>
        node(l.name, {
          type: l.type,
          group: groupOf(l.type),
          detail: Object.entries(l.config ?? {})
            .map(([k, v]) => `${k} ${parameterText(v)}`)
            .join(', '),
          role: outputs.has(l.name) ? 'output' : 'layer',
        }),
      ),
    ]
  }, [doc, places, moved, selected, facts, marks, groupOf, locale])
}

const parseEdge = (id: string): { from: string; to: string } => {
  const [from, to] = JSON.parse(id) as [string, string]
  return { from, to }
}

export function Canvas(props: CanvasProps) {
  const { doc, facts, selected } = props
  const { t } = useI18n()
  const flow = useReactFlow()
  const nodes = useNodes(props)
  const [chosenEdges, setChosenEdges] = useState<ReadonlySet<string>>(new Set())
  const edges = useMemo<Edge[]>(() => {
    const known = new Set([...doc.inputs, ...doc.layers].map((n) => n.name))
    return edgesOf(doc)
      .filter(([from]) => known.has(from))
      .map(([from, to]) => {
        const id = JSON.stringify([from, to])
        return {
          id,
          source: from,
          target: to,
          label: facts.get(from)?.shape.join('×'),
          selected: chosenEdges.has(id),
          ariaLabel: t('builder.edge', { from, to }),
        }
      })
  }, [doc, facts, chosenEdges, t])

  useEffect(() => {
    if (!props.focus) return
    void flow.fitView({ nodes: [{ id: props.focus.name }], maxZoom: 1, duration: 200 })
  }, [props.focus, flow])

  const change = (changes: NodeChange<LayerNode>[]) => {
    let next: Set<string> | null = null
    for (const c of changes) {
      if (c.type === 'position' && c.position) props.onMove(c.id, c.position)
      if (c.type === 'select') {
        next ??= new Set(selected)
        if (c.selected) next.add(c.id)
        else next.delete(c.id)
      }
    }
    if (next) props.onSelect(next)
  }
  const drop = (e: DragEvent) => {
    const type = e.dataTransfer.getData(DRAG_TYPE)
    if (!type) return
    e.preventDefault()
    const under = document.elementsFromPoint(e.clientX, e.clientY).find((x) => x.closest('.react-flow__edge'))
    const id = under?.closest('.react-flow__edge')?.getAttribute('data-id')
    props.onDrop(type, id ? parseEdge(id) : null)
  }

  return (
    <ReactFlow
      nodes={nodes}
      edges={edges}
      nodeTypes={nodeTypes}
      onNodesChange={change}
      onEdgesChange={(changes) => {
        for (const c of changes)
          if (c.type === 'select')
            setChosenEdges((old) => {
              const next = new Set(old)
              if (c.selected) next.add(c.id)
              else next.delete(c.id)
              return next
            })
      }}
      onDelete={({ nodes: gone, edges: cut }) => {
        const names = new Set(gone.map((n) => n.id))
        if (names.size) props.onRemove(names)
        else for (const e of cut) props.onDisconnect(e.source, e.target)
      }}
      onConnect={(c: Connection) => props.onConnect(c.source, c.target)}
      onDragOver={(e) => {
        if (!e.dataTransfer.types.includes(DRAG_TYPE)) return
        e.preventDefault()
        e.dataTransfer.dropEffect = 'copy'
      }}
      onDrop={drop}
      onInit={(f) => {
        // The whole of a small model; of a large one its beginning, large enough to read.
        const box = document.querySelector('.builder-canvas')
        if (!box) return
        const { x, y, width, height } = f.getNodesBounds(nodes)
        const fits = Math.min((box.clientWidth - 40) / width, (box.clientHeight - 40) / height)
        const zoom = Math.min(1, Math.max(0.8, fits))
        void f.setViewport({ x: (box.clientWidth - width * zoom) / 2 - x * zoom, y: 20 - y * zoom, zoom })
      }}
      deleteKeyCode={['Delete', 'Backspace']}
      minZoom={0.05}
      maxZoom={1.6}
      onlyRenderVisibleElements
      zoomOnDoubleClick={false}
      proOptions={{ hideAttribution: true }}
      aria-label={t('builder.canvas')}
    >
      <Background gap={18} size={1} />
      <Controls showInteractive={false} />
      {nodes.length > 12 && <MiniMap pannable zoomable ariaLabel={t('builder.map')} />}
    </ReactFlow>
  )
}
