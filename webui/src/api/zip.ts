/* Several files of the server as one zip, made here: stored, not compressed, because weights do not get smaller. */
import { Zip, ZipPassThrough } from 'fflate'
import { problemFrom } from './problem'

export interface ZipEntry {
  path: string
  url: string
}

/** Fetches one file after another; each byte is held once, in the Blob. progress: files done. */
export async function fetchZip(
  entries: readonly ZipEntry[],
  progress: (done: number) => void,
  signal?: AbortSignal,
): Promise<Blob> {
  const parts: Uint8Array<ArrayBuffer>[] = []
  const zip = new Zip((error, chunk) => {
    if (error) throw error
    parts.push(chunk as Uint8Array<ArrayBuffer>)
  })
  for (const [i, entry] of entries.entries()) {
    progress(i)
    const response = await fetch(entry.url, { credentials: 'same-origin', signal })
    if (!response.ok || !response.body) throw problemFrom(response.status, response.statusText, await response.text())
    const file = new ZipPassThrough(entry.path)
    zip.add(file)
    const reader = response.body.getReader()
    for (;;) {
      const { done, value } = await reader.read()
      file.push(value ?? new Uint8Array(), done)
      if (done) break
    }
  }
  zip.end()
  progress(entries.length)
  return new Blob(parts, { type: 'application/zip' })
}
