/* A text area with line numbers and marks on the lines that a verification complained about. */
import { useEffect, useMemo, useRef, type KeyboardEvent } from 'react'
import type { Check } from '../api/types'

export interface EditorProps {
  label: string
  value: string
  onChange?: (v: string) => void
  checks: readonly Check[]
  /** moves the cursor there when it changes */
  goTo?: { line: number; column: number; at: number } | null
}

/** Offset of a line and column, both from 1, in a text. */
export function offsetOf(text: string, line: number, column: number): number {
  let at = 0
  for (let n = 1; n < line; n++) {
    const end = text.indexOf('\n', at)
    if (end < 0) return text.length
    at = end + 1
  }
  const end = text.indexOf('\n', at)
  return Math.min(at + Math.max(0, column - 1), end < 0 ? text.length : end)
}

export function Editor({ label, value, onChange, checks, goTo }: EditorProps) {
  const area = useRef<HTMLTextAreaElement>(null)
  const gutter = useRef<HTMLDivElement>(null)
  const lineCount = useMemo(() => value.split('\n').length, [value])
  const marks = useMemo(() => {
    const m = new Map<number, Check>()
    for (const c of checks)
      if (c.line > 0 && c.status !== 'passed' && m.get(c.line)?.status !== 'failed') m.set(c.line, c)
    return m
  }, [checks])

  useEffect(() => {
    const el = area.current
    if (!el || !goTo || goTo.line < 1) return
    const at = offsetOf(el.value, goTo.line, goTo.column)
    el.focus()
    el.setSelectionRange(at, at)
    el.scrollTop = Math.max(0, (goTo.line - 6) * 20)
  }, [goTo])

  const keys = (e: KeyboardEvent<HTMLTextAreaElement>) => {
    // Tab leaves the field, as everywhere. Enter keeps the indentation.
    if (e.key !== 'Enter' || e.shiftKey || e.ctrlKey || e.metaKey || !onChange || e.nativeEvent.isComposing) return
    const el = e.currentTarget
    const start = value.lastIndexOf('\n', el.selectionStart - 1) + 1
    const indent = /^[ \t]*/.exec(value.slice(start, el.selectionStart))?.[0] ?? ''
    if (!indent) return
    e.preventDefault()
    el.setRangeText(`\n${indent}`, el.selectionStart, el.selectionEnd, 'end')
    onChange(el.value)
  }

  return (
    <div className="editor">
      <div className="editor-gutter" ref={gutter} aria-hidden="true">
        <div>
          {Array.from({ length: lineCount }, (_, i) => {
            const mark = marks.get(i + 1)
            return (
              <span
                key={i}
                className={mark ? `mark ${mark.status}` : undefined}
                title={mark?.message}
                data-line={i + 1}
              >
                {i + 1}
              </span>
            )
          })}
        </div>
      </div>
      <textarea
        ref={area}
        aria-label={label}
        aria-invalid={checks.some((c) => c.status === 'failed') || undefined}
        value={value}
        readOnly={!onChange}
        spellCheck={false}
        autoComplete="off"
        autoCapitalize="off"
        wrap="off"
        onChange={(e) => onChange?.(e.target.value)}
        onKeyDown={keys}
        onScroll={(e) => gutter.current?.scrollTo(0, e.currentTarget.scrollTop)}
      />
    </div>
  )
}
