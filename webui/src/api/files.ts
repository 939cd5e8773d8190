/* Files from an <input> or a drop, with their paths, made into one upload. */
import { makeTar } from '../lib/tar'

export interface ChosenFile {
  path: string
  file: File
}

export function fromInput(list: FileList): ChosenFile[] {
  return Array.from(list, (file) => ({ path: file.webkitRelativePath || file.name, file }))
}

async function walk(entry: FileSystemEntry, out: ChosenFile[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((ok, no) => (entry as FileSystemFileEntry).file(ok, no))
    out.push({ path: entry.fullPath.replace(/^\//, ''), file })
    return
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  for (;;) {
    // readEntries hands out at most a hundred at a time
    const part = await new Promise<FileSystemEntry[]>((ok, no) => reader.readEntries(ok, no))
    if (part.length === 0) return
    for (const e of part) await walk(e, out)
  }
}

export async function fromDrop(data: DataTransfer): Promise<ChosenFile[]> {
  // The list dies with the event: take the entries before anything is awaited.
  const entries = Array.from(data.items, (i) => i.webkitGetAsEntry()).filter((e) => e !== null)
  if (entries.length === 0) return fromInput(data.files)
  const out: ChosenFile[] = []
  for (const e of entries) await walk(e, out)
  return out
}

/** One file goes as it is; several become one tar, without the chosen folder's own name in front. */
export function packFiles(files: readonly ChosenFile[]): Blob {
  if (files.length === 1) return files[0]!.file
  const top = files[0]?.path.split('/')[0] ?? ''
  const shared = files.every((f) => f.path.startsWith(`${top}/`))
  return makeTar(
    files
      .filter((f) => !/(^|\/)(\.DS_Store|Thumbs\.db)$/.test(f.path))
      .map((f) => ({
        path: shared ? f.path.slice(top.length + 1) : f.path,
        file: f.file,
        modified: f.file.lastModified,
      })),
  )
}
