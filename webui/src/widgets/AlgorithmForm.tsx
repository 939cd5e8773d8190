/* An algorithm as a form beside its source. Each writes the other: the text is the truth, and the form reads it anew. */
import { useState } from 'react'
import { useI18n } from '../i18n'
import {
  fieldValue,
  memberOf,
  readAlgorithm,
  SECTIONS,
  setMember,
  setVariant,
  type AlgorithmDoc,
  type FormField,
  type Section,
} from '../lib/algorithmform'
import { pretty } from '../lib/examples'
import { parameterText } from '../lib/modeldoc'
import { SelectField, TextField } from './basic'

const label = (name: string) => name.replaceAll('_', ' ')

export function AlgorithmForm({ text, onChange }: { text: string; onChange: (text: string) => void }) {
  const { t } = useI18n()
  const doc = readAlgorithm(text)
  const write = (d: AlgorithmDoc) => onChange(pretty(d))
  if (!doc) return <p className="builder-broken">{t('algorithm.broken')}</p>
  const plain = SECTIONS.filter((s) => s.kind === 'field')
  const usual = plain.filter((s) => ['batch_size', 'epochs', 'seed'].includes(s.name))
  const rest = plain.filter((s) => !usual.includes(s))
  return (
    <div className="algorithm-form" role="group" aria-label={t('algorithm.form')}>
      <div className="columns three">
        {usual.map((s) => (
          <SectionPart key={s.name} section={s} doc={doc} write={write} short />
        ))}
      </div>
      {SECTIONS.filter((s) => s.kind !== 'field').map((s) => (
        <SectionPart key={s.name} section={s} doc={doc} write={write} />
      ))}
      <div className="columns">
        {rest.map((s) => (
          <SectionPart key={s.name} section={s} doc={doc} write={write} />
        ))}
      </div>
    </div>
  )
}

function SectionPart({
  section: s,
  doc,
  write,
  short,
}: {
  section: Section
  doc: AlgorithmDoc
  write: (d: AlgorithmDoc) => void
  short?: boolean
}) {
  const { t } = useI18n()
  const field = (f: FormField) => (
    <FieldPart
      key={f.name}
      field={f}
      value={memberOf(doc, s.name, f.name)}
      onChange={(v) => write(setMember(doc, s.name, f.name, v))}
    />
  )
  if (s.kind === 'field')
    return (
      <FieldPart
        field={short ? { ...s.field, help: '' } : s.field}
        value={doc[s.name]}
        onChange={(v) => write(setMember(doc, s.name, null, v))}
      />
    )
  if (s.kind === 'many') {
    const chosen = Array.isArray(doc[s.name]) ? (doc[s.name] as unknown[]).map(String) : []
    return (
      <fieldset>
        <legend>{label(s.name)}</legend>
        <div className="row wrap">
          {s.choices.map((c) => (
            <label key={c} className="check-line">
              <input
                type="checkbox"
                checked={chosen.includes(c)}
                onChange={(e) =>
                  write(
                    setMember(
                      doc,
                      s.name,
                      null,
                      s.choices.filter((x) => (x === c ? e.target.checked : chosen.includes(x))),
                    ),
                  )
                }
              />
              {label(c)}
            </label>
          ))}
        </div>
      </fieldset>
    )
  }
  if (s.kind === 'object') {
    const on = doc[s.name] !== undefined
    return (
      <fieldset>
        <legend>
          <label className="check-line">
            <input
              type="checkbox"
              checked={on}
              onChange={(e) => {
                const first = s.fields[0]
                write(
                  setMember(doc, s.name, null, e.target.checked && first ? { [first.name]: first.default } : undefined),
                )
              }}
            />
            {label(s.name)}
          </label>
        </legend>
        {s.help && <p className="field-hint">{s.help}</p>}
        {on && <div className="columns">{s.fields.map(field)}</div>}
      </fieldset>
    )
  }
  const type = String(memberOf(doc, s.name, 'type') ?? '')
  const variant = s.variants.find((v) => v.type === type)
  return (
    <fieldset>
      <legend className="hidden">{label(s.name)}</legend>
      <SelectField
        label={label(s.name)}
        value={type}
        hint={variant?.help ?? s.help}
        options={[
          ...(s.required && variant
            ? []
            : [{ value: variant || !type ? '' : type, label: type && !variant ? type : t('algorithm.none') }]),
          ...s.variants.map((v) => ({ value: v.type, label: label(v.type) })),
        ]}
        onChange={(v) => write(setVariant(doc, s.name, s.variants, v))}
      />
      {variant && variant.fields.length > 0 && <div className="columns">{variant.fields.map(field)}</div>}
    </fieldset>
  )
}

function FieldPart({
  field: f,
  value,
  onChange,
}: {
  field: FormField
  value: unknown
  onChange: (v: unknown) => void
}) {
  const { t } = useI18n()
  const [draft, setDraft] = useState<string | null>(null)
  const usual = parameterText(f.default)
  if (f.kind === 'boolean')
    return (
      <label className="check-line" title={f.help}>
        <input
          type="checkbox"
          checked={Boolean(value ?? f.default)}
          onChange={(e) => onChange(e.target.checked === Boolean(f.default) ? undefined : e.target.checked)}
        />
        {label(f.name)}
      </label>
    )
  if (f.kind === 'choice')
    return (
      <SelectField
        label={label(f.name)}
        value={parameterText(value)}
        hint={f.help}
        options={[
          { value: '', label: usual ? t('builder.default', { value: usual }) : t('algorithm.none') },
          ...f.choices.map((c) => ({ value: c, label: label(c) })),
        ]}
        onChange={(v) => onChange(v === '' ? undefined : v)}
      />
    )
  const number = f.kind === 'number' || f.kind === 'integer'
  const outside =
    number && typeof value === 'number' && ((f.min !== null && value < f.min) || (f.max !== null && value > f.max))
  const written = parameterText(value)
  return (
    <TextField
      label={label(f.name)}
      hint={f.help}
      inputMode={number ? 'decimal' : undefined}
      placeholder={usual}
      error={
        outside
          ? t('algorithm.range', { min: f.min ?? '−∞', max: f.max ?? '∞' })
          : number && typeof value === 'string'
            ? t('algorithm.number')
            : null
      }
      // What one types stays as one types it ("1." on the way to "1.5"); from outside it follows the text.
      value={draft !== null && parameterText(fieldValue(draft, f)) === written ? draft : written}
      onChange={(v) => {
        setDraft(v)
        onChange(fieldValue(v, f))
      }}
      onBlur={() => setDraft(null)}
    />
  )
}
