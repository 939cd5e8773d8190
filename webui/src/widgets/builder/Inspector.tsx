/* The side panel: what the selected layer is and takes. */
import { useState, type ReactNode } from 'react'
import { useI18n } from '../../i18n'
import {
  connect,
  disconnect,
  inputsOf,
  namesOf,
  parameterText,
  parameterValue,
  setInput,
  setLayer,
  setOutput,
  setParameter,
  type InputDoc,
  type LayerDoc,
  type LayerParameter,
  type LayerType,
  type ModelDoc,
} from '../../lib/modeldoc'
import { Button, IconButton, SelectField, TextField } from '../basic'
import type { NodeMark } from './Canvas'

export interface InspectorProps {
  doc: ModelDoc
  types: readonly LayerType[]
  selected: ReadonlySet<string>
  marks: ReadonlyMap<string, NodeMark>
  onChange: (doc: ModelDoc) => void
  onRename: (from: string, to: string) => void
  onRemove: (names: ReadonlySet<string>) => void
  children: ReactNode
}

export function Inspector(props: InspectorProps) {
  const { t } = useI18n()
  const { doc, selected } = props
  const name = selected.size === 1 ? [...selected][0]! : null
  const layer = name === null ? undefined : doc.layers.find((l) => l.name === name)
  const input = name === null ? undefined : doc.inputs.find((i) => i.name === name)
  if (layer) return <LayerPanel key={layer.name} layer={layer} {...props} />
  if (input) return <InputPanel key={input.name} input={input} {...props} />
  return (
    <div className="inspector">
      {selected.size > 1 ? (
        <>
          <h3>{t('builder.several', { n: selected.size })}</h3>
          <Button icon="trash" onClick={() => props.onRemove(selected)}>
            {t('builder.remove')}
          </Button>
        </>
      ) : (
        <p className="faint">{t('builder.hint')}</p>
      )}
      {props.children}
    </div>
  )
}

/** Written as one goes; taken over when one leaves the field or presses Enter, because every letter is no name. */
function NameField({ name, doc, onRename }: { name: string; doc: ModelDoc; onRename: (to: string) => void }) {
  const { t } = useI18n()
  const [draft, setDraft] = useState(name)
  const taken = draft !== name && namesOf(doc).includes(draft)
  const done = () => {
    if (draft && !taken && draft !== name) onRename(draft)
  }
  return (
    <TextField
      label={t('col.name')}
      value={draft}
      onChange={setDraft}
      onBlur={done}
      onKeyDown={(e) => {
        if (e.key !== 'Enter') return
        e.preventDefault()
        done()
      }}
      error={taken ? t('builder.taken') : null}
    />
  )
}

function LayerPanel({ layer, doc, types, marks, onChange, onRename, onRemove }: InspectorProps & { layer: LayerDoc }) {
  const { t } = useI18n()
  const type = types.find((x) => x.name === layer.type)
  const mark = marks.get(layer.name)
  const known = new Set(type?.params.map((p) => p.name))
  const others = Object.keys(layer.config ?? {}).filter((k) => !known.has(k))
  const free = namesOf(doc).filter((n) => n !== layer.name && !inputsOf(layer).includes(n))
  const typeNames = types.some((x) => x.name === layer.type)
    ? types.map((x) => x.name)
    : [layer.type, ...types.map((x) => x.name)]
  return (
    <div className="inspector" data-inspector={layer.name}>
      {mark && <p className={`note slim ${mark.status === 'failed' ? 'bad' : 'warn'}`}>{mark.message}</p>}
      <NameField name={layer.name} doc={doc} onRename={(to) => onRename(layer.name, to)} />
      <SelectField
        label={t('col.type')}
        value={layer.type}
        options={typeNames.map((n) => ({ value: n, label: n }))}
        onChange={(v) => onChange(setLayer(doc, layer.name, { type: v }))}
      />
      {type && (
        <p className="field-hint">
          {type.summary}
          {type.formula && <code className="formula">{type.formula}</code>}
        </p>
      )}
      {type?.params.map((p) => (
        <Parameter
          key={p.name}
          parameter={p}
          value={layer.config?.[p.name]}
          onChange={(v) => onChange(setParameter(doc, layer.name, p.name, v))}
        />
      ))}
      {others.map((k) => (
        <div className="row unknown" key={k}>
          <code className="grow">
            {k} = {parameterText(layer.config?.[k])}
          </code>
          <IconButton
            icon="cross"
            label={t('builder.parameter.remove', { name: k })}
            onClick={() => onChange(setParameter(doc, layer.name, k, undefined))}
          />
        </div>
      ))}
      <div className="field">
        <span className="field-label">{t('builder.inputs')}</span>
        <ul className="inspector-inputs">
          {inputsOf(layer).map((i) => (
            <li key={i}>
              <code className="grow">{i}</code>
              <IconButton
                icon="cross"
                label={t('builder.disconnect', { name: i })}
                onClick={() => onChange(disconnect(doc, i, layer.name))}
              />
            </li>
          ))}
        </ul>
        {free.length > 0 && (
          <select
            className="input small"
            aria-label={t('builder.connect')}
            value=""
            onChange={(e) => onChange(connect(doc, e.target.value, layer.name, type?.max_inputs ?? 64))}
          >
            <option value="">{t('builder.connect')}</option>
            {free.map((n) => (
              <option key={n}>{n}</option>
            ))}
          </select>
        )}
      </div>
      <label className="check-line">
        <input
          type="checkbox"
          checked={doc.outputs.includes(layer.name)}
          onChange={(e) => onChange(setOutput(doc, layer.name, e.target.checked))}
        />
        {t('builder.output')}
      </label>
      <Button icon="trash" onClick={() => onRemove(new Set([layer.name]))}>
        {t('builder.remove')}
      </Button>
    </div>
  )
}

function Parameter({
  parameter: p,
  value,
  onChange,
}: {
  parameter: LayerParameter
  value: unknown
  onChange: (v: unknown) => void
}) {
  const { t } = useI18n()
  const [draft, setDraft] = useState<string | null>(null)
  const usual = parameterText(p.default)
  if (p.type === 'boolean')
    return (
      <label className="check-line" title={p.help}>
        <input
          type="checkbox"
          checked={Boolean(value ?? p.default)}
          onChange={(e) => onChange(e.target.checked === Boolean(p.default) ? undefined : e.target.checked)}
        />
        {p.name}
      </label>
    )
  if (p.type === 'choice' && p.choices)
    return (
      <SelectField
        label={p.name}
        value={parameterText(value)}
        hint={p.help}
        options={[
          { value: '', label: t('builder.default', { value: usual }) },
          ...p.choices.map((c) => ({ value: String(c), label: String(c) })),
        ]}
        onChange={(v) => onChange(v === '' ? undefined : v)}
      />
    )
  return (
    <TextField
      label={p.name}
      hint={p.help}
      // What one types stays as one types it ("1." on the way to "1.5"); from outside it follows the document.
      value={
        draft !== null && Object.is(parameterText(parameterValue(draft, p.type)), parameterText(value))
          ? draft
          : parameterText(value)
      }
      placeholder={usual}
      onChange={(v) => {
        setDraft(v)
        onChange(parameterValue(v, p.type))
      }}
      onBlur={() => setDraft(null)}
    />
  )
}

const DTYPES = ['float32', 'uint8', 'int32', 'int64']

function InputPanel({ input, doc, onChange, onRename }: InspectorProps & { input: InputDoc }) {
  const { t } = useI18n()
  const [shape, setShape] = useState(input.shape.join(', '))
  const dtype = input.dtype ?? 'float32'
  return (
    <div className="inspector" data-inspector={input.name}>
      <NameField name={input.name} doc={doc} onRename={(to) => onRename(input.name, to)} />
      <TextField
        label={t('fact.shape')}
        value={shape}
        onChange={(v) => {
          setShape(v)
          const parsed = parameterValue(v, 'pair')
          const list = Array.isArray(parsed) ? (parsed as number[]) : typeof parsed === 'number' ? [parsed] : null
          if (list) onChange(setInput(doc, input.name, { shape: list }))
        }}
        hint={t('builder.shape.hint')}
      />
      <SelectField
        label={t('col.type')}
        value={dtype}
        options={[...new Set([dtype, ...DTYPES])].map((d) => ({ value: d, label: d }))}
        onChange={(v) => onChange(setInput(doc, input.name, { dtype: v }))}
      />
    </div>
  )
}
