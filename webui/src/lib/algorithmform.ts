/* The form of an algorithm, made from docs/schemas/algorithm.schema.json: what the trainer learns to take, the form offers. */
import { withMember } from './members'
import schema from '../../../docs/schemas/algorithm.schema.json'

export interface FormField {
  name: string
  kind: 'number' | 'integer' | 'boolean' | 'list' | 'choice' | 'text'
  help: string
  default: unknown
  min: number | null
  max: number | null
  choices: string[]
}
export interface Variant {
  type: string
  help: string
  fields: FormField[]
}
export type Section =
  | { name: string; kind: 'variants'; help: string; required: boolean; variants: Variant[] }
  | { name: string; kind: 'object'; help: string; fields: FormField[] }
  | { name: string; kind: 'many'; help: string; choices: string[] }
  | { name: string; kind: 'field'; help: string; field: FormField }

type Node = Record<string, unknown>
const isNode = (v: unknown): v is Node => typeof v === 'object' && v !== null && !Array.isArray(v)
const node = (v: unknown): Node => (isNode(v) ? v : {})
const text = (v: unknown): string => (typeof v === 'string' ? v : '')
const strings = (v: unknown): string[] => (Array.isArray(v) ? v.map(String) : [])
const numberOf = (...all: unknown[]): number | null => all.find((v): v is number => typeof v === 'number') ?? null

function fieldOf(name: string, raw: Node): FormField {
  const part = Array.isArray(raw.allOf) ? Object.assign({}, ...raw.allOf.map(node)) : raw
  const kinds: Record<string, FormField['kind']> = {
    number: 'number',
    integer: 'integer',
    boolean: 'boolean',
    array: 'list',
  }
  const choices = strings(part.enum)
  return {
    name,
    kind: choices.length ? 'choice' : (kinds[text(part.type)] ?? 'text'),
    help: text(raw.description),
    default: raw.default,
    min: numberOf(part.minimum, part.exclusiveMinimum),
    max: numberOf(part.maximum, part.exclusiveMaximum),
    choices,
  }
}

const fieldsOf = (properties: unknown): FormField[] =>
  Object.entries(node(properties))
    .filter(([k, v]) => k !== 'type' || !('const' in node(v)))
    .map(([k, v]) => fieldOf(k, node(v)))

function sectionOf(name: string, raw: Node, required: boolean): Section | null {
  const help = text(raw.description)
  if (Array.isArray(raw.oneOf)) {
    const variants = raw.oneOf.map(node).map((v) => ({
      type: text(node(node(v.properties).type).const),
      help: text(v.description),
      fields: fieldsOf(v.properties),
    }))
    return { name, kind: 'variants', help, required, variants }
  }
  if (raw.type === 'object') return { name, kind: 'object', help, fields: fieldsOf(raw.properties) }
  if (raw.type === 'array') return { name, kind: 'many', help, choices: strings(node(raw.items).enum) }
  if ('const' in raw) return null
  return { name, kind: 'field', help, field: fieldOf(name, raw) }
}

const FIRST = ['batch_size', 'epochs', 'seed', 'loss', 'optimizer', 'schedule']
const OUTSIDE = ['format', 'name', 'description']

export function sectionsOf(root: Node): Section[] {
  const properties = node(root.properties)
  const required = strings(root.required)
  const rank = (k: string) => (FIRST.includes(k) ? FIRST.indexOf(k) : FIRST.length)
  return Object.keys(properties)
    .filter((k) => !OUTSIDE.includes(k))
    .sort((a, b) => rank(a) - rank(b))
    .flatMap((k) => sectionOf(k, node(properties[k]), required.includes(k)) ?? [])
}

export const SECTIONS = sectionsOf(schema as unknown as Node)

export type AlgorithmDoc = Record<string, unknown>

export function readAlgorithm(source: string): AlgorithmDoc | null {
  try {
    const v: unknown = JSON.parse(source)
    return isNode(v) ? v : null
  } catch {
    return null
  }
}

export const memberOf = (doc: AlgorithmDoc, section: string, field: string): unknown => node(doc[section])[field]

/** undefined takes the member away; an object that would hold only its emptiness goes with it. */
export function setMember(doc: AlgorithmDoc, section: string, field: string | null, value: unknown): AlgorithmDoc {
  if (field === null) return withMember(doc, section, value)
  const inner = withMember(node(doc[section]), field, value)
  return withMember(doc, section, Object.keys(inner).length ? inner : undefined)
}

/** Another type keeps the members that it has too. */
export function setVariant(
  doc: AlgorithmDoc,
  section: string,
  variants: readonly Variant[],
  type: string,
): AlgorithmDoc {
  const chosen = variants.find((v) => v.type === type)
  if (!chosen) return setMember(doc, section, null, undefined)
  const old = node(doc[section])
  const kept = chosen.fields.filter((f) => f.name in old).map((f): [string, unknown] => [f.name, old[f.name]])
  return { ...doc, [section]: { type, ...Object.fromEntries(kept) } }
}

/** What one wrote as a value; undefined: nothing, so that the default holds. Words that are no number stay words. */
export function fieldValue(written: string, field: FormField): unknown {
  const word = written.trim()
  if (word === '') return undefined
  if (field.kind === 'list')
    return word
      .split(/[,\s]+/)
      .filter(Boolean)
      .map((w) => (Number.isNaN(Number(w)) ? w : Number(w)))
  return (field.kind === 'number' || field.kind === 'integer') && !Number.isNaN(Number(word)) ? Number(word) : word
}
