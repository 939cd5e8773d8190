/* One's tokens and looks; for an administrator also who may sign in. */
import { useState } from 'react'
import { useCreateToken, useCreateUser, useRevokeToken, useSession, useTokens, useUsers } from '../api/hooks'
import { ROLES, type Role, type Token } from '../api/types'
import { LANGUAGE_NAMES, LANGUAGES, useI18n } from '../i18n'
import { NAME_PATTERN } from '../lib/names'
import { THEMES, usePreference } from '../lib/preferences'
import {
  Ago,
  Button,
  Card,
  Confirm,
  CopyButton,
  Dialog,
  ErrorNote,
  IconButton,
  Loading,
  PageHead,
  Segmented,
  SelectField,
  TextField,
  useTitle,
} from '../widgets/basic'

export default function Settings() {
  const { t } = useI18n()
  useTitle(t('nav.settings'))
  const session = useSession()
  return (
    <>
      <PageHead title={t('nav.settings')} note={t('settings.note')} />
      <div className="stack settings">
        <Looks />
        <Tokens />
        {session.data?.user.role === 'admin' && <Users />}
      </div>
    </>
  )
}

function Looks() {
  const { t, language, setLanguage } = useI18n()
  const [theme, setTheme] = usePreference('theme', THEMES, 'system')
  return (
    <Card title={t('settings.looks')}>
      <div className="row wrap">
        <Segmented
          label={t('settings.theme')}
          value={theme}
          onChange={setTheme}
          options={THEMES.map((x) => ({ value: x, label: t(`theme.${x}`) }))}
        />
        <Segmented
          label={t('settings.language')}
          value={language}
          onChange={setLanguage}
          options={LANGUAGES.map((x) => ({ value: x, label: LANGUAGE_NAMES[x] }))}
        />
      </div>
    </Card>
  )
}

const LIVES = [
  { value: '0', days: 0 },
  { value: '1', days: 1 },
  { value: '30', days: 30 },
  { value: '365', days: 365 },
]

function Tokens() {
  const { t } = useI18n()
  const tokens = useTokens()
  const create = useCreateToken()
  const revoke = useRevokeToken()
  const [name, setName] = useState('')
  const [days, setDays] = useState('30')
  const [asking, setAsking] = useState<Token | null>(null)
  const made = create.data
  return (
    <Card title={t('tokens.title')} flush>
      <form
        className="inline-form"
        onSubmit={(e) => {
          e.preventDefault()
          create.mutate(
            { name, kind: 'bearer', ...(Number(days) > 0 && { expires_in_seconds: Number(days) * 86400 }) },
            { onSuccess: () => setName('') },
          )
        }}
      >
        <TextField
          label={t('tokens.name')}
          value={name}
          onChange={setName}
          required
          maxLength={200}
          placeholder="laptop"
        />
        <SelectField
          label={t('tokens.life')}
          value={days}
          onChange={setDays}
          options={LIVES.map((l) => ({
            value: l.value,
            label: l.days ? t('tokens.days', { n: l.days }) : t('tokens.ever'),
          }))}
        />
        <Button type="submit" icon="key" busy={create.isPending}>
          {t('tokens.create')}
        </Button>
      </form>
      <div className="card-pad">
        <ErrorNote error={create.error ?? tokens.error ?? (asking ? null : revoke.error)} />
        {made && (
          <div className="note good block" role="status">
            <div>
              <p>{t('tokens.once', { name: made.name })}</p>
              <p className="row">
                <code className="token">{made.token}</code>
                <CopyButton text={made.token} />
              </p>
            </div>
          </div>
        )}
      </div>
      {tokens.isPending ? (
        <Loading />
      ) : (
        <div className="scroll-x" tabIndex={0} role="region" aria-label={t('tokens.title')}>
          <table className="table plain">
            <thead>
              <tr>
                <th>{t('col.name')}</th>
                <th>{t('col.type')}</th>
                <th>{t('col.created')}</th>
                <th>{t('tokens.expires')}</th>
                <th />
              </tr>
            </thead>
            <tbody>
              {(tokens.data ?? []).map((x) => (
                <tr key={x.id}>
                  <td>{x.name}</td>
                  <td>{x.kind}</td>
                  <td>
                    <Ago at={x.created} />
                  </td>
                  <td>{x.expires ? <Ago at={x.expires} /> : t('tokens.ever')}</td>
                  <td className="num">
                    <IconButton
                      icon="trash"
                      label={t('tokens.revoke', { name: x.name })}
                      onClick={() => {
                        revoke.reset()
                        setAsking(x)
                      }}
                    />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Confirm
        open={asking !== null}
        title={t('tokens.revoke', { name: asking?.name ?? '' })}
        text={t('tokens.revoke.text')}
        action={t('tokens.revoke.action')}
        busy={revoke.isPending}
        error={revoke.error}
        onClose={() => setAsking(null)}
        onConfirm={() => asking && revoke.mutate(asking.id, { onSuccess: () => setAsking(null) })}
      />
    </Card>
  )
}

function Users() {
  const { t } = useI18n()
  const users = useUsers(true)
  const [adding, setAdding] = useState(false)
  return (
    <Card
      title={t('users.title')}
      flush
      actions={
        <Button icon="plus" onClick={() => setAdding(true)}>
          {t('users.add')}
        </Button>
      }
    >
      <ErrorNote error={users.error} />
      {users.isPending ? (
        <Loading />
      ) : (
        <div className="scroll-x" tabIndex={0} role="region" aria-label={t('users.title')}>
          <table className="table plain">
            <thead>
              <tr>
                <th>{t('col.name')}</th>
                <th>{t('users.role')}</th>
                <th>{t('col.created')}</th>
              </tr>
            </thead>
            <tbody>
              {(users.data ?? []).map((u) => (
                <tr key={u.name}>
                  <td>{u.name}</td>
                  <td>{t(`role.${u.role}`)}</td>
                  <td>
                    <Ago at={u.created} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Dialog title={t('users.add')} open={adding} onClose={() => setAdding(false)}>
        <UserForm onDone={() => setAdding(false)} />
      </Dialog>
    </Card>
  )
}

function UserForm({ onDone }: { onDone: () => void }) {
  const { t } = useI18n()
  const create = useCreateUser()
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')
  const [role, setRole] = useState<Role>('user')
  const wrong = name !== '' && !NAME_PATTERN.test(name)
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault()
        if (!wrong) create.mutate({ name, password, role }, { onSuccess: onDone })
      }}
    >
      <TextField
        label={t('signin.name')}
        value={name}
        onChange={setName}
        required
        maxLength={64}
        autoComplete="off"
        error={wrong ? t('name.wrong') : null}
      />
      <TextField
        label={t('signin.password')}
        type="password"
        value={password}
        onChange={setPassword}
        required
        minLength={8}
        autoComplete="new-password"
        hint={t('users.password.hint')}
      />
      <SelectField
        label={t('users.role')}
        value={role}
        onChange={(v) => setRole(v as Role)}
        hint={t(`role.${role}.text`)}
        options={ROLES.map((r) => ({ value: r, label: t(`role.${r}`) }))}
      />
      <ErrorNote error={create.error} />
      <footer>
        <Button onClick={onDone}>{t('action.cancel')}</Button>
        <Button type="submit" tone="primary" busy={create.isPending}>
          {t('users.add')}
        </Button>
      </footer>
    </form>
  )
}
