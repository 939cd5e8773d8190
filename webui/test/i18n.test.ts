import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fill } from '../src/i18n'
import { en } from '../src/i18n/en'
import { zh } from '../src/i18n/zh'

const names = (text: string) => [...new Set([...text.matchAll(/\{(\w+)/g)].map((m) => m[1]))].sort()

describe('messages', () => {
  it('are the same in every language', () => {
    expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort())
  })
  it('say something', () => {
    for (const [k, v] of [...Object.entries(en), ...Object.entries(zh)]) expect(v.trim(), k).not.toBe('')
  })
  it('use no value that the English one is not given', () => {
    for (const key of Object.keys(en) as (keyof typeof en)[])
      for (const n of names(zh[key])) expect(names(en[key]), key).toContain(n)
  })
  it('are all used', () => {
    const walk = (dir: string): string[] =>
      readdirSync(dir, { withFileTypes: true }).flatMap((e) =>
        e.isDirectory()
          ? e.name === 'i18n'
            ? []
            : walk(join(dir, e.name))
          : [readFileSync(join(dir, e.name), 'utf8')],
      )
    const source = walk(join(import.meta.dirname, '../src')).join('\n')
    // keys made in code: t(`state.${job.state}`)
    const made = [...source.matchAll(/`([a-z.]+\.)\$\{/g)].map((m) => m[1]!)
    const madeAfter = [...source.matchAll(/`([a-z]+\.)\$\{[^}]*\}(\.[a-z]+)`/g)].map((m) => [m[1]!, m[2]!] as const)
    const unused = Object.keys(en).filter(
      (k) =>
        !source.includes(`'${k}'`) &&
        !made.some((p) => k.startsWith(p)) &&
        !madeAfter.some(([a, b]) => k.startsWith(a) && k.endsWith(b)),
    )
    expect(unused).toEqual([])
  })
  it('choose between one and many', () => {
    expect(fill('{n} {n|line|lines}', { n: 1 })).toBe('1 line')
    expect(fill('{n} {n|line|lines}', { n: 0 })).toBe('0 lines')
    expect(fill('{unknown} stays')).toBe('{unknown} stays')
  })
})
