/* Messages by key, one file a language. `{name}` is replaced; `{n|one|many}` chooses by n === 1. */
import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from 'react'
import { usePreference } from '../lib/preferences'
import { en } from './en'

export type MessageKey = keyof typeof en
export type Messages = Record<MessageKey, string>
export type Vars = Record<string, string | number>
export type Translate = (key: MessageKey, vars?: Vars) => string

export const LANGUAGES = ['en', 'zh'] as const
export type Language = (typeof LANGUAGES)[number]
export const LANGUAGE_NAMES: Record<Language, string> = { en: 'English', zh: '中文' }
const LOCALES: Record<Language, string> = { en: 'en-GB', zh: 'zh-CN' }

const load: Record<Language, () => Promise<Messages>> = {
  en: () => Promise.resolve(en),
  zh: () => import('./zh').then((m) => m.zh),
}

export function fill(text: string, vars: Vars = {}): string {
  return text.replace(/\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}/g, (whole, name: string, one?: string, many?: string) => {
    const v = vars[name]
    if (v === undefined) return whole
    return one === undefined || many === undefined ? String(v) : Number(v) === 1 ? one : many
  })
}

interface I18n {
  t: Translate
  language: Language
  locale: string
  setLanguage: (l: Language) => void
}

const Context = createContext<I18n | null>(null)

function preferred(): Language {
  return navigator.languages.some((l) => l.toLowerCase().startsWith('zh')) && !navigator.language.startsWith('en')
    ? 'zh'
    : 'en'
}

export function I18nProvider({ children }: { children: ReactNode }) {
  const [language, setLanguage] = usePreference('language', LANGUAGES, preferred())
  const [loaded, setLoaded] = useState<{ language: Language; messages: Messages } | null>(
    language === 'en' ? { language, messages: en } : null,
  )
  useEffect(() => {
    let live = true
    void load[language]().then((messages) => {
      if (live) setLoaded({ language, messages })
    })
    return () => {
      live = false
    }
  }, [language])

  useEffect(() => {
    if (loaded) document.documentElement.lang = loaded.language === 'zh' ? 'zh-Hans' : 'en'
  }, [loaded])

  const value = useMemo<I18n | null>(() => {
    if (!loaded) return null
    return {
      t: (key, vars) => fill(loaded.messages[key], vars),
      language: loaded.language,
      locale: LOCALES[loaded.language],
      setLanguage,
    }
    // setLanguage is made anew each render and always does the same
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [loaded])

  return value && <Context value={value}>{children}</Context>
}

export function useI18n(): I18n {
  const i = useContext(Context)
  if (!i) throw new Error('useI18n outside of I18nProvider')
  return i
}
