/* A model as a drawing: layers in rows, shapes on the edges. Read-only here; its script loads with the first graph. */
import dagre from '@dagrejs/dagre'
import { Background, Controls, Handle, Position, ReactFlow, type Edge, type Node, type NodeProps } from '@xyflow/react'
import '@xyflow/react/dist/base.css'
import { useMemo } from 'react'
import type { GraphNode, ModelGraph } from '../api/types'
import { useI18n } from '../i18n'
import { formatCompact } from '../lib/format'

type LayerNode = Node<{ layer: GraphNode; role: 'input' | 'output' | 'layer'; locale: string }, 'layer'>

const WIDTH = 200
const HEIGHT = 58

function Layer({ data }: NodeProps<LayerNode>) {
  const { layer, role, locale } = data
  const config = Object.entries(layer.config ?? {})
    .map(([k, v]) => `${k} ${typeof v === 'object' ? JSON.stringify(v) : String(v)}`)
    .join(', ')
  return (
    <div className={`layer-node ${role}`} data-group={layer.group} title={config}>
      {role !== 'input' && <Handle type="target" position={Position.Top} isConnectable={false} />}
      <p>
        <b>{layer.name}</b>
        {layer.parameters ? <em>{formatCompact(layer.parameters, locale)}</em> : null}
      </p>
      <p>
        <span>{role === 'input' ? (layer.dtype ?? 'input') : layer.type}</span>
        <code>{layer.shape.join('×')}</code>
      </p>
      {role !== 'output' && <Handle type="source" position={Position.Bottom} isConnectable={false} />}
    </div>
  )
}

const nodeTypes = { layer: Layer }

function layout(graph: ModelGraph, locale: string): { nodes: LayerNode[]; edges: Edge[] } {
  const g = new dagre.graphlib.Graph()
  g.setGraph({ rankdir: 'TB', nodesep: 28, ranksep: 34 })
  g.setDefaultEdgeLabel(() => ({}))
  for (const n of graph.nodes) g.setNode(n.name, { width: WIDTH, height: HEIGHT })
  for (const e of graph.edges) g.setEdge(e.from, e.to)
  dagre.layout(g)
  return {
    nodes: graph.nodes.map((n) => {
      const at = g.node(n.name)
      return {
        id: n.name,
        type: 'layer' as const,
        position: { x: at.x - WIDTH / 2, y: at.y - HEIGHT / 2 },
        data: {
          layer: n,
          role: graph.inputs.includes(n.name) ? 'input' : graph.outputs.includes(n.name) ? 'output' : 'layer',
          locale,
        },
        width: WIDTH,
        height: HEIGHT,
      }
    }),
    edges: graph.edges.map((e, i) => ({ id: `${i}`, source: e.from, target: e.to })),
  }
}

export default function ModelGraphView({ graph, label }: { graph: ModelGraph; label: string }) {
  const { locale } = useI18n()
  const { nodes, edges } = useMemo(() => layout(graph, locale), [graph, locale])
  return (
    <ReactFlow
      nodes={nodes}
      edges={edges}
      nodeTypes={nodeTypes}
      onInit={(flow) => {
        // The whole of a small model; of a large one its beginning, large enough to read.
        const box = document.querySelector('.graph-box')
        if (!box) return
        const { width, height } = flow.getNodesBounds(nodes)
        const zoom = Math.min(
          1,
          Math.max(0.7, Math.min((box.clientWidth - 40) / width, (box.clientHeight - 40) / height)),
        )
        void flow.setViewport({ x: (box.clientWidth - width * zoom) / 2, y: 20, zoom })
      }}
      minZoom={0.05}
      maxZoom={1.5}
      nodesDraggable={false}
      nodesConnectable={false}
      nodesFocusable={false}
      edgesFocusable={false}
      elementsSelectable={false}
      onlyRenderVisibleElements
      zoomOnScroll={false}
      preventScrolling={false}
      proOptions={{ hideAttribution: true }}
      aria-label={label}
    >
      <Background gap={18} size={1} />
      <Controls showInteractive={false} />
    </ReactFlow>
  )
}
