import { useState } from 'react'
import { linkProblem, useSignIn } from '../api/hooks'
import { useI18n } from '../i18n'
import { Button, ErrorNote, Segmented, TextField, useTitle } from '../widgets/basic'
import { Logo } from '../widgets/icons'
import { LanguageButton, ThemeButton } from './Shell'

export default function SignIn() {
  const { t } = useI18n()
  useTitle(t('signin.title'))
  const signIn = useSignIn()
  const [way, setWay] = useState<'password' | 'token'>('password')
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')
  const [token, setToken] = useState('')

  return (
    <div className="signin">
      <main className="signin-card">
        <Logo size={40} />
        <h1>{t('signin.title')}</h1>
        <p className="faint">{t('signin.text')}</p>
        <Segmented
          label={t('signin.way')}
          value={way}
          onChange={setWay}
          options={[
            { value: 'password', label: t('signin.password') },
            { value: 'token', label: t('signin.token') },
          ]}
        />
        <form
          onSubmit={(e) => {
            e.preventDefault()
            signIn.mutate(way === 'password' ? { name: name.trim(), password } : { token: token.trim() })
          }}
        >
          {way === 'password' ? (
            <>
              <TextField
                label={t('signin.name')}
                value={name}
                onChange={setName}
                autoComplete="username"
                required
                autoFocus
              />
              <TextField
                label={t('signin.password')}
                type="password"
                value={password}
                onChange={setPassword}
                autoComplete="current-password"
                required
              />
            </>
          ) : (
            <TextField
              label={t('signin.token')}
              type="password"
              value={token}
              onChange={setToken}
              autoComplete="off"
              required
              hint={t('signin.token.hint')}
            />
          )}
          <ErrorNote error={signIn.error ?? (signIn.isIdle ? linkProblem() : null)} />
          <Button type="submit" tone="primary" busy={signIn.isPending}>
            {t('signin.go')}
          </Button>
        </form>
      </main>
      <footer className="row">
        <ThemeButton />
        <LanguageButton />
      </footer>
    </div>
  )
}
