import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { packFiles } from '../src/api/files'
import { url, seg } from '../src/api/client'
import { problemFrom } from '../src/api/problem'
import { examples, pretty } from '../src/lib/examples'
import { formatBytes, formatCompact, formatDuration, formatMetric, formatTime, formatValue } from '../src/lib/format'
import { NAME_PATTERN, parseRef, suggestName } from '../src/lib/names'
import { makeTar } from '../src/lib/tar'
import { offsetOf } from '../src/widgets/Editor'

async function bytesOf(blob: Blob): Promise<Uint8Array> {
  return new Uint8Array(await blob.arrayBuffer())
}

describe('tar', () => {
  const long = `${'a'.repeat(60)}/${'b'.repeat(60)}/file.txt`
  const endless = `${'c'.repeat(120)}.txt`

  it('is read by tar itself, with long and foreign names and every size around a block', async () => {
    const entries = [
      { path: 'train-images', text: 'x'.repeat(511) },
      { path: 'exact', text: 'y'.repeat(512) },
      { path: 'over', text: 'z'.repeat(513) },
      { path: 'empty', text: '' },
      { path: long, text: 'long' },
      { path: endless, text: 'endless' },
      { path: 'höhe/数据.csv', text: 'a,b\n' },
    ]
    const blob = makeTar(entries.map((e) => ({ path: e.path, file: new Blob([e.text]), modified: 1_700_000_000_000 })))
    const bytes = await bytesOf(blob)
    expect(bytes.length % 512).toBe(0)
    const list = execFileSync('tar', ['--list', '--quoting-style=literal', '--file', '-'], {
      input: bytes,
      encoding: 'utf8',
    })
    expect(list.trim().split('\n')).toEqual(entries.map((e) => e.path))
    for (const e of entries) {
      const text = execFileSync('tar', ['--extract', '--to-stdout', '--file', '-', e.path], {
        input: bytes,
        encoding: 'utf8',
      })
      expect(text).toBe(e.text)
    }
  })
})

describe('packFiles', () => {
  it('sends one file as it is', () => {
    const file = new File(['a'], 'data.csv')
    expect(packFiles([{ path: 'data.csv', file }])).toBe(file)
  })
  it('leaves out the chosen folder’s own name and the system’s droppings', async () => {
    const f = (path: string) => ({ path, file: new File([path], path.split('/').at(-1)!) })
    const bytes = await bytesOf(packFiles([f('digits/train/0/a.png'), f('digits/test/1/b.png'), f('digits/.DS_Store')]))
    const list = execFileSync('tar', ['--list', '--file', '-'], { input: bytes, encoding: 'utf8' })
    expect(list.trim().split('\n')).toEqual(['train/0/a.png', 'test/1/b.png'])
  })
})

describe('numbers and times', () => {
  it('bytes', () => {
    expect([0, 999, 1024, 1536, 10 * 2 ** 20, 3.5 * 2 ** 30].map((n) => formatBytes(n, 'en'))).toEqual([
      '0 B',
      '999 B',
      '1 KiB',
      '1.5 KiB',
      '10 MiB',
      '3.5 GiB',
    ])
  })
  it('values', () => {
    expect([0, 0.123456, 1234.5, 1e-5, 2e9, Number.NaN, null].map((v) => formatValue(v, 'en'))).toEqual([
      '0',
      '0.1235',
      '1,235',
      '1.00e-5',
      '2.00e+9',
      'NaN',
      '–',
    ])
    expect(formatMetric('accuracy', 0.98765, 'en')).toBe('98.77%')
    expect(formatMetric('loss', 0.98765, 'en')).toBe('0.9877')
  })
  it('compact', () => {
    expect([12, 999, 1000, 421642, 4241152, 999999].map((v) => formatCompact(v, 'en'))).toEqual([
      '12',
      '999',
      '1k',
      '422k',
      '4.24M',
      '1M',
    ])
  })
  it('durations', () => {
    expect([0.25, 5.04, 42, 95, 3725, 90000, -1].map(formatDuration)).toEqual([
      '250ms',
      '5.0s',
      '42s',
      '1m 35s',
      '1h 2m',
      '1d 1h',
      '–',
    ])
  })
  it('a time of today has no date', () => {
    const now = new Date(2026, 3, 5, 12).getTime()
    expect(formatTime(now, 'en-GB', now)).toBe('12:00:00')
    expect(formatTime(new Date(2026, 3, 1, 9, 30).toISOString(), 'en-GB', now)).toMatch(/1 Apr/)
    expect(formatTime('nonsense', 'en-GB', now)).toBe('–')
  })
})

describe('names', () => {
  it('are suggested from file names', () => {
    expect(suggestName('My Digits.tar.gz')).toBe('my-digits')
    expect(suggestName('conv_block')).toBe('conv_block')
    expect(suggestName('..')).toBe('')
  })
  it('are what the server takes', () => {
    for (const good of ['a', 'A-1', '9.x_y']) expect(NAME_PATTERN.test(good)).toBe(true)
    for (const bad of ['', '-a', 'a b', 'ä', 'a/b', 'a'.repeat(65)]) expect(NAME_PATTERN.test(bad)).toBe(false)
  })
  it('may carry a version', () => {
    expect(parseRef('mnist@12')).toEqual({ name: 'mnist', version: 12 })
    expect(parseRef('mnist')).toEqual({ name: 'mnist', version: null })
  })
})

describe('requests', () => {
  it('leave out what is not said and escape what is', () => {
    expect(url('/tasks', { q: 'a&b', cursor: '', limit: 5, label: null })).toBe('/api/v1/tasks?q=a%26b&limit=5')
    expect(seg('a/b@2')).toBe('a%2Fb@2')
  })
  it('read a problem document', () => {
    const p = problemFrom(422, 'x', '{"title":"No","detail":"because","errors":[{"message":"m","line":3,"column":4}]}')
    expect([p.status, p.title, p.message, p.errors[0]!.line]).toEqual([422, 'No', 'because', 3])
  })
  it('make a sentence of anything else', () => {
    expect(problemFrom(502, 'Bad Gateway', '<html>').message).toBe('Bad Gateway')
    expect(problemFrom(500, '', 'null').message).toBe('HTTP 500')
  })
})

describe('editor', () => {
  it('finds line and column in a text', () => {
    const t = '{\n  "a": 1\n}'
    expect([offsetOf(t, 1, 1), offsetOf(t, 2, 3), offsetOf(t, 2, 99), offsetOf(t, 9, 1)]).toEqual([0, 4, 10, 12])
  })
  it('examples are laid out as a person would, and mean the same', () => {
    for (const list of Object.values(examples))
      for (const x of list) {
        const text = pretty(x.content)
        expect(JSON.parse(text)).toEqual(x.content)
        expect(Math.max(...text.split('\n').map((l) => l.length))).toBeLessThan(125)
      }
    expect(pretty({ a: 'b,c:d', e: [] })).toBe('{\n  "a": "b,c:d",\n  "e": []\n}')
  })
})
