/* Who is signed in, which page is shown. Every page is its own file of script, loaded when first visited. */
import { QueryClientProvider } from '@tanstack/react-query'
import { Component, lazy, Suspense, useEffect, useState, type ReactNode } from 'react'
import { Redirect, Route, Switch, useLocation } from 'wouter'
import { makeQueryClient, useSession, useSignInLink } from './api/hooks'
import { I18nProvider, useI18n } from './i18n'
import { applyTheme, THEMES, usePreference } from './lib/preferences'
import { Shell } from './pages/Shell'
import { StreamProvider } from './stream/context'
import { Button, Empty, ErrorNote, Loading } from './widgets/basic'

const Dashboard = lazy(() => import('./pages/Dashboard'))
const Settings = lazy(() => import('./pages/Settings'))
const SignIn = lazy(() => import('./pages/SignIn'))
const Tasks = lazy(() => import('./pages/Tasks'))
const Task = lazy(() => import('./pages/Task'))
const NewAsset = lazy(() => import('./pages/NewAsset'))
const Asset = lazy(() => import('./pages/Asset'))
const NewRun = lazy(() => import('./pages/NewRun'))
const Runs = lazy(() => import('./pages/Runs'))
const Run = lazy(() => import('./pages/Run'))
const Compare = lazy(() => import('./pages/Compare'))
const Nodes = lazy(() => import('./pages/Nodes'))

function Pages() {
  const { t } = useI18n()
  const [path] = useLocation()
  return (
    <Suspense fallback={<Loading />}>
      <Switch>
        <Route path="/" component={Dashboard} />
        <Route path="/settings" component={Settings} />
        <Route path="/tasks" component={Tasks} />
        <Route path="/tasks/:task/run">{(p) => <NewRun key={path} task={decodeURIComponent(p.task)} />}</Route>
        <Route path="/tasks/:task/:kind/new">
          {(p) => <NewAsset key={path} task={decodeURIComponent(p.task)} kind={p.kind} />}
        </Route>
        <Route path="/tasks/:task/:kind/:ref">
          {(p) => (
            <Asset key={path} task={decodeURIComponent(p.task)} kind={p.kind} reference={decodeURIComponent(p.ref)} />
          )}
        </Route>
        <Route path="/tasks/:task">{(p) => <Task key={path} name={decodeURIComponent(p.task)} />}</Route>
        <Route path="/runs" component={Runs} />
        <Route path="/runs/:id">{(p) => <Run key={path} id={Number(p.id)} />}</Route>
        <Route path="/jobs/:id">{(p) => <Redirect to={`/runs/${p.id}`} replace />}</Route>
        <Route path="/compare" component={Compare} />
        <Route path="/nodes" component={Nodes} />
        <Route>
          <Empty icon="help" title={t('missing.title')}>
            {t('missing.text')}
          </Empty>
        </Route>
      </Switch>
    </Suspense>
  )
}

/** A page that breaks must not take the way to the others with it. Also met when a new version replaced the files. */
class Guard extends Component<{ children: ReactNode; message: string; action: string }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null }
  static getDerivedStateFromError(error: Error) {
    return { error }
  }
  override render() {
    if (!this.state.error) return this.props.children
    return (
      <Empty
        icon="warn"
        title={this.props.message}
        action={<Button onClick={() => location.reload()}>{this.props.action}</Button>}
      >
        {this.state.error.message}
      </Empty>
    )
  }
}

function Gate() {
  useSignInLink()
  const session = useSession()
  const { t } = useI18n()
  const [path] = useLocation()
  const [theme] = usePreference('theme', THEMES, 'system')
  useEffect(() => applyTheme(theme), [theme])
  if (session.isPending) return null
  if (session.isError)
    return (
      <div className="alone">
        <ErrorNote error={session.error} onRetry={() => void session.refetch()} />
      </div>
    )
  const guarded = (children: ReactNode) => (
    <Guard key={path} message={t('broken.title')} action={t('action.reload')}>
      {children}
    </Guard>
  )
  if (!session.data)
    return guarded(
      <Suspense fallback={null}>
        <SignIn />
      </Suspense>,
    )
  return (
    <StreamProvider key={session.data.user.name}>
      <Shell user={session.data.user}>{guarded(<Pages />)}</Shell>
    </StreamProvider>
  )
}

export function App() {
  const [client] = useState(makeQueryClient)
  return (
    <QueryClientProvider client={client}>
      <I18nProvider>
        <Gate />
      </I18nProvider>
    </QueryClientProvider>
  )
}
