/* What a person chose for this browser. Storage may be off (private windows): then it holds for the page only. */
import { useSyncExternalStore } from 'react'

const listeners = new Set<() => void>()
const fallback = new Map<string, string>()

function read(key: string): string | null {
  try {
    return localStorage.getItem(`trainyard.${key}`)
  } catch {
    return fallback.get(key) ?? null
  }
}

export function writePreference(key: string, value: string): void {
  try {
    localStorage.setItem(`trainyard.${key}`, value)
  } catch {
    fallback.set(key, value)
  }
  for (const f of [...listeners]) f()
}

function subscribe(f: () => void): () => void {
  listeners.add(f)
  addEventListener('storage', f)
  return () => {
    listeners.delete(f)
    removeEventListener('storage', f)
  }
}

export function usePreference<T extends string>(key: string, choices: readonly T[], initial: T): [T, (v: T) => void] {
  const raw = useSyncExternalStore(subscribe, () => read(key))
  const value = choices.find((c) => c === raw) ?? initial
  return [value, (v) => writePreference(key, v)]
}

export type Theme = 'system' | 'light' | 'dark'
export const THEMES: readonly Theme[] = ['system', 'light', 'dark']

export function applyTheme(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
}
