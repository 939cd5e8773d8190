/* A model as a drawing that stands alone: SVG with its colours in it. */
import { layoutGraph, NODE, type Place } from './layout'
import { inputsOf, type ModelDoc } from './modeldoc'

const escape = (s: string): string => s.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

const MARGIN = 24

export function modelSvg(
  doc: ModelDoc,
  shapeOf: (name: string) => string | null,
  moved: ReadonlyMap<string, Place>,
): { svg: string; width: number; height: number } {
  const nodes = [
    ...doc.inputs.map((i) => ({ name: i.name, type: i.dtype ?? 'input' })),
    ...doc.layers.map((l) => ({ name: l.name, type: l.type })),
  ]
  const edges = doc.layers.flatMap((l) => inputsOf(l).map((i): [string, string] => [i, l.name]))
  const laid = layoutGraph(
    nodes.map((n) => n.name),
    edges,
  )
  const at = (name: string) => moved.get(name) ?? laid.get(name)
  const places = nodes.map((n) => at(n.name)!)
  const left = Math.min(...places.map((p) => p.x)) - MARGIN
  const top = Math.min(...places.map((p) => p.y)) - MARGIN
  const width = Math.max(...places.map((p) => p.x)) + NODE.width + MARGIN - left
  const height = Math.max(...places.map((p) => p.y)) + NODE.height + MARGIN - top
  const lines = edges.flatMap(([from, to]) => {
    const a = at(from)
    const b = at(to)
    if (!a || !b) return []
    const [x1, y1, x2, y2] = [a.x + NODE.width / 2, a.y + NODE.height, b.x + NODE.width / 2, b.y]
    const bend = Math.max(18, Math.abs(y2 - y1) / 2)
    return [`<path d="M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}"/>`]
  })
  const boxes = nodes.map((n) => {
    const p = at(n.name)!
    const shape = shapeOf(n.name)
    return (
      `<g transform="translate(${p.x} ${p.y})"><rect width="${NODE.width}" height="${NODE.height}" rx="6"/>` +
      `<text x="12" y="24" font-weight="600">${escape(n.name)}</text>` +
      `<text x="12" y="43" class="t">${escape(n.type)}</text>` +
      (shape ? `<text x="${NODE.width - 12}" y="43" class="t" text-anchor="end">${escape(shape)}</text>` : '') +
      '</g>'
    )
  })
  const style =
    'text{font:12.5px system-ui,sans-serif;fill:#14171d}.t{font-size:11.5px;fill:#626b7b}' +
    'rect{fill:#fff;stroke:#c6ccd6}path{fill:none;stroke:#97a0b0;stroke-width:1.5}'
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="${left} ${top} ${width} ${height}">` +
    `<style>${style}</style><rect x="${left}" y="${top}" width="${width}" height="${height}" style="fill:#f6f7f9;stroke:none"/>` +
    `${lines.join('')}${boxes.join('')}</svg>`
  return { svg, width, height }
}
