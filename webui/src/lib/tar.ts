/* A tar of chosen files, as a Blob that refers to them: the browser reads the files only while it sends. POSIX ustar, with
 * a pax header where a path does not fit or is not ASCII. */

export interface TarEntry {
  path: string
  file: Blob
  /** milliseconds since 1970 */
  modified?: number
}

const BLOCK = 512
const encoder = new TextEncoder()

function octal(view: Uint8Array, at: number, width: number, value: number): void {
  view.set(encoder.encode(value.toString(8).padStart(width - 1, '0') + '\0'), at)
}

function header(name: Uint8Array, prefix: Uint8Array, size: number, mtime: number, type: string): Uint8Array {
  const h = new Uint8Array(BLOCK)
  h.set(name, 0)
  octal(h, 100, 8, 0o644)
  octal(h, 108, 8, 0)
  octal(h, 116, 8, 0)
  // 11 octal digits hold 8 GiB; a larger size goes in base 256, as GNU and everybody since writes it.
  if (size < 0o100000000000) octal(h, 124, 12, size)
  else {
    h[124] = 0x80
    for (let i = 0, v = size; i < 8; i++, v = Math.floor(v / 256)) h[135 - i] = v % 256
  }
  octal(h, 136, 12, mtime)
  h.fill(0x20, 148, 156)
  h[156] = type.charCodeAt(0)
  h.set(encoder.encode('ustar\x0000'), 257)
  h.set(prefix, 345)
  const sum = h.reduce((a, b) => a + b, 0)
  h.set(encoder.encode(sum.toString(8).padStart(6, '0') + '\0 '), 148)
  return h
}

/** name and prefix of a ustar header, or null when only a pax header can carry the path */
function split(path: Uint8Array): [Uint8Array, Uint8Array] | null {
  if (path.some((b) => b > 126)) return null
  if (path.length <= 100) return [path, new Uint8Array()]
  for (let i = path.length - 1; i > 0; i--)
    if (path[i] === 0x2f && i <= 155 && path.length - i - 1 <= 100) return [path.slice(i + 1), path.slice(0, i)]
  return null
}

function paxRecord(key: string, value: string): Uint8Array {
  const body = encoder.encode(` ${key}=${value}\n`)
  let length = body.length
  while (String(length).length + body.length !== length) length = String(length).length + body.length
  const record = new Uint8Array(length)
  record.set(encoder.encode(String(length)))
  record.set(body, length - body.length)
  return record
}

const padding = (size: number): Uint8Array => new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK)

export function makeTar(entries: readonly TarEntry[]): Blob {
  const parts: BlobPart[] = []
  const put = (b: Uint8Array) => parts.push(b as Uint8Array<ArrayBuffer>)
  for (const entry of entries) {
    const path = encoder.encode(entry.path)
    const mtime = Math.floor((entry.modified ?? 0) / 1000)
    const fits = split(path)
    if (!fits) {
      const record = paxRecord('path', entry.path)
      put(header(encoder.encode('pax_header'), new Uint8Array(), record.length, mtime, 'x'))
      put(record)
      put(padding(record.length))
    }
    const [name, prefix] = fits ?? [encoder.encode('long_name'), new Uint8Array()]
    put(header(name, prefix, entry.file.size, mtime, '0'))
    parts.push(entry.file)
    put(padding(entry.file.size))
  }
  put(new Uint8Array(2 * BLOCK))
  return new Blob(parts, { type: 'application/x-tar' })
}
