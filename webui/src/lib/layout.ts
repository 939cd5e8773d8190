/* Where the layers of a graph stand: rows from the top, by dagre; a chain needs no library. */
import dagre from '@dagrejs/dagre'

export interface Place {
  x: number
  y: number
}
export const NODE = { width: 200, height: 58 } as const
const GAP = { across: 28, down: 46 } as const

/** Chains are by far the most common models, and a thousand layers in a chain are placed at once. */
function chain(names: readonly string[], edges: readonly (readonly [string, string])[]): string[] | null {
  if (edges.length !== names.length - 1) return null
  const next = new Map(edges)
  const targets = new Set(edges.map(([, to]) => to))
  if (next.size !== edges.length || targets.size !== edges.length) return null
  const order: string[] = []
  for (let at = names.find((n) => !targets.has(n)); at !== undefined; at = next.get(at)) {
    order.push(at)
    if (order.length > names.length) return null
  }
  return order.length === names.length ? order : null
}

/** The upper left corner of each. */
export function layoutGraph(
  names: readonly string[],
  edges: readonly (readonly [string, string])[],
): Map<string, Place> {
  const line = chain(names, edges)
  if (line) return new Map(line.map((n, i) => [n, { x: 0, y: i * (NODE.height + GAP.down) }]))
  const g = new dagre.graphlib.Graph()
  // The tight tree looks as good here and takes a tenth of the network simplex's time on a large graph.
  g.setGraph({
    rankdir: 'TB',
    nodesep: GAP.across,
    ranksep: GAP.down,
    ranker: names.length > 200 ? 'tight-tree' : 'network-simplex',
  })
  g.setDefaultEdgeLabel(() => ({}))
  for (const n of names) g.setNode(n, { ...NODE })
  const known = new Set(names)
  for (const [from, to] of edges) if (known.has(from) && known.has(to)) g.setEdge(from, to)
  dagre.layout(g)
  return new Map(
    names.map((n) => {
      const at = g.node(n)
      return [n, { x: at.x - NODE.width / 2, y: at.y - NODE.height / 2 }]
    }),
  )
}
