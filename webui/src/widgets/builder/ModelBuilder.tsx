/* The model builder: library, canvas, side panel. It owns no model: it reads the text and gives back another. */
import { ReactFlowProvider } from '@xyflow/react'
import { useCallback, useMemo, useRef, useState, type KeyboardEvent, type ReactNode } from 'react'
import type { Check, ModelGraph } from '../../api/types'
import { useI18n } from '../../i18n'
import { pretty } from '../../lib/examples'
import type { Place } from '../../lib/layout'
import {
  addLayer,
  connect,
  disconnect,
  insertOnEdge,
  namesOf,
  paste,
  readModel,
  removeNodes,
  rename,
  type LayerDoc,
  type LayerType,
  type ModelDoc,
} from '../../lib/modeldoc'
import { modelSvg } from '../../lib/modelsvg'
import { saveBlob, saveText } from '../../lib/save'
import { Button, IconButton } from '../basic'
import { Menu } from '../Menu'
import { Canvas, type NodeFacts, type NodeMark } from './Canvas'
import { Inspector } from './Inspector'
import { Library } from './Library'

export interface ModelBuilderProps {
  text: string
  /** typing: letters of one field, which are one step of undo when they follow at once */
  onChange: (text: string, typing: boolean) => void
  types: readonly LayerType[]
  /** of the newest text that passed; null before the first */
  graph: ModelGraph | null
  /** of exactly this text; empty while it is being verified */
  checks: readonly Check[]
  undo: (() => void) | null
  redo: (() => void) | null
  /** what is said about the model as a whole */
  children: ReactNode
}

/** Shapes and sizes by the name a layer has in the file: what a composite layer became is one again. */
function factsOf(graph: ModelGraph | null): Map<string, NodeFacts> {
  const facts = new Map<string, NodeFacts>()
  for (const n of graph?.nodes ?? []) {
    const name = n.pointer?.startsWith('/layers/') ? n.name.split('/')[0]! : n.name
    const sum = (facts.get(name)?.parameters ?? 0) + (n.parameters ?? 0)
    facts.set(name, { shape: n.shape, parameters: sum, ...(n.dtype && { dtype: n.dtype }) })
  }
  return facts
}

function marksOf(doc: ModelDoc | null, checks: readonly Check[]): Map<string, NodeMark> {
  const marks = new Map<string, NodeMark>()
  for (const c of checks) {
    const m = /^\/(layers|inputs)\/(\d+)/.exec(c.pointer ?? '')
    if (!m || c.status === 'passed') continue
    const name = (m[1] === 'layers' ? doc?.layers : doc?.inputs)?.[Number(m[2])]?.name
    if (name && marks.get(name)?.status !== 'failed') marks.set(name, { status: c.status, message: c.message })
  }
  return marks
}

export default function ModelBuilder(props: ModelBuilderProps) {
  const { text, onChange, types, graph, checks, undo, redo } = props
  const { t } = useI18n()
  const parsed = useMemo(() => readModel(text), [text])
  // While the text cannot be read, the drawing stays as it last could.
  const [last, setLast] = useState<ModelDoc | null>(parsed)
  if (parsed && parsed !== last) setLast(parsed)
  const doc = parsed ?? last
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set())
  const [moved, setMoved] = useState<ReadonlyMap<string, Place>>(new Map())
  const [focus, setFocus] = useState<{ name: string; at: number } | null>(null)
  const copied = useRef<LayerDoc[]>([])
  const facts = useMemo(() => factsOf(graph), [graph])
  const marks = useMemo(() => marksOf(parsed, checks), [parsed, checks])
  const groupOf = useCallback((type: string) => types.find((x) => x.name === type)?.group ?? 'own', [types])
  const write = (d: ModelDoc, typing = false) => onChange(pretty(d), typing)

  if (!doc) return <p className="builder-broken">{t('builder.broken')}</p>

  /** Behind the one that is selected, otherwise behind the last output. */
  const add = (type: LayerType) => {
    const [one] = selected
    const after = one && namesOf(doc).includes(one) ? one : (doc.outputs.at(-1) ?? doc.inputs.at(-1)?.name ?? null)
    const made = addLayer(doc, type, after)
    write(made.doc)
    setSelected(new Set([made.name]))
    setFocus({ name: made.name, at: Date.now() })
  }
  const dropped = (name: string, edge: { from: string; to: string } | null) => {
    const type = types.find((x) => x.name === name)
    if (!type) return
    if (!edge) return add(type)
    const made = insertOnEdge(doc, type, edge.from, edge.to)
    write(made.doc)
    setSelected(new Set([made.name]))
  }
  const remove = (names: ReadonlySet<string>) => {
    write(removeNodes(doc, names))
    setSelected(new Set())
  }
  const keys = (e: KeyboardEvent) => {
    const typing = (e.target as HTMLElement).matches('input, textarea, select')
    if (!(e.ctrlKey || e.metaKey) || typing) return
    const key = e.key.toLowerCase()
    if (key === 'c' && selected.size) copied.current = doc.layers.filter((l) => selected.has(l.name))
    else if (key === 'v' && copied.current.length) {
      const made = paste(doc, copied.current)
      write(made.doc)
      setSelected(new Set(made.names))
    } else if (key === 'a') setSelected(new Set(doc.layers.map((l) => l.name)))
    else return
    e.preventDefault()
  }
  const broken = parsed === null

  return (
    <div className="builder" onKeyDown={keys} data-broken={broken}>
      <BuilderBar
        {...{ doc, facts, moved, undo, redo }}
        tidy={() => setMoved(new Map())}
        find={(name) => {
          setSelected(new Set([name]))
          setFocus({ name, at: Date.now() })
        }}
      />
      <div className="builder-body">
        <Library types={types} onAdd={add} />
        <div className="builder-canvas graph-box">
          <ReactFlowProvider>
            <Canvas
              doc={doc}
              groupOf={groupOf}
              facts={facts}
              marks={marks}
              selected={selected}
              onSelect={setSelected}
              moved={moved}
              onMove={(name, at) => setMoved((old) => new Map(old).set(name, at))}
              onRemove={remove}
              onConnect={(from, to) => {
                const type = types.find((x) => x.name === doc.layers.find((l) => l.name === to)?.type)
                write(connect(doc, from, to, type?.max_inputs ?? 64))
              }}
              onDisconnect={(from, to) => write(disconnect(doc, from, to))}
              onDrop={dropped}
              focus={focus}
            />
          </ReactFlowProvider>
          {broken && <p className="builder-note note warn slim">{t('builder.stale')}</p>}
        </div>
        <Inspector
          doc={doc}
          types={types}
          selected={selected}
          marks={marks}
          onChange={(d) => write(d, true)}
          onRename={(from, to) => {
            write(rename(doc, from, to))
            setSelected(new Set([to]))
            setMoved((old) => new Map([...old].map(([k, v]) => [k === from ? to : k, v])))
          }}
          onRemove={remove}
        >
          {props.children}
        </Inspector>
      </div>
    </div>
  )
}

function BuilderBar({
  doc,
  facts,
  moved,
  undo,
  redo,
  tidy,
  find,
}: {
  doc: ModelDoc
  facts: ReadonlyMap<string, NodeFacts>
  moved: ReadonlyMap<string, Place>
  undo: (() => void) | null
  redo: (() => void) | null
  tidy: () => void
  find: (name: string) => void
}) {
  const { t } = useI18n()
  const [q, setQ] = useState('')
  const name = typeof doc.name === 'string' && doc.name ? doc.name : 'model'
  const hit = q.trim() === '' ? undefined : namesOf(doc).find((n) => n.toLowerCase().includes(q.trim().toLowerCase()))
  const drawing = () => modelSvg(doc, (n) => facts.get(n)?.shape.join('×') ?? null, moved)
  const png = async () => {
    const { svg, width, height } = drawing()
    const url = URL.createObjectURL(new Blob([svg], { type: 'image/svg+xml' }))
    try {
      const image = new Image()
      image.src = url
      await image.decode()
      const canvas = document.createElement('canvas')
      // As sharp as can be without going past what a browser can hold in one canvas.
      const scale = Math.min(2, 16000 / Math.max(width, height))
      canvas.width = width * scale
      canvas.height = height * scale
      canvas.getContext('2d')?.drawImage(image, 0, 0, canvas.width, canvas.height)
      const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'))
      if (blob) saveBlob(blob, `${name}.png`)
    } finally {
      URL.revokeObjectURL(url)
    }
  }
  return (
    <div className="builder-bar">
      <IconButton icon="undo" label={t('builder.undo')} disabled={!undo} onClick={() => undo?.()} />
      <IconButton icon="redo" label={t('builder.redo')} disabled={!redo} onClick={() => redo?.()} />
      <Button tone="quiet" icon="tidy" onClick={tidy}>
        {t('builder.tidy')}
      </Button>
      <span className="grow" />
      <input
        className="input small"
        type="search"
        placeholder={t('builder.find')}
        aria-label={t('builder.find')}
        value={q}
        onChange={(e) => setQ(e.target.value)}
        onKeyDown={(e) => {
          if (e.key !== 'Enter') return
          e.preventDefault()
          if (hit) find(hit)
        }}
      />
      <Menu label={t('builder.export')} icon="download">
        <Button tone="quiet" onClick={() => saveText(drawing().svg, `${name}.svg`, 'image/svg+xml')}>
          SVG
        </Button>
        <Button tone="quiet" onClick={() => void png()}>
          PNG
        </Button>
      </Menu>
    </div>
  )
}
