/* Names of tasks and assets: what the server accepts, said before one sends. */

export const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** "My Digits.tar.gz" -> "my-digits": a name to start from. */
export function suggestName(text: string): string {
  return text
    .toLowerCase()
    .replace(/(\.(tar|gz|tgz|zst|zip|csv|tsv|json|idx|npy|npz))+$/g, '')
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
    .slice(0, 64)
}

export function parseRef(ref: string): { name: string; version: number | null } {
  const m = /^(.*)@(\d+)$/.exec(ref)
  return m ? { name: m[1]!, version: Number(m[2]) } : { name: ref, version: null }
}
