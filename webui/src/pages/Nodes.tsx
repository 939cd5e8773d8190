import { useState } from 'react'
import { Link } from 'wouter'
import { useNodeAction, useNodes, useSession } from '../api/hooks'
import { useLiveNodes } from '../api/live'
import type { ClusterNode } from '../api/types'
import { useI18n } from '../i18n'
import { formatBytes } from '../lib/format'
import { Meter } from '../widgets/Meter'
import { Ago, Button, Card, Dialog, Empty, ErrorNote, Loading, PageHead, TextField, useTitle } from '../widgets/basic'

const tone = (state: string) => (state === 'up' ? 'good' : state === 'drained' ? 'wait' : 'bad')

export default function Nodes() {
  const { t } = useI18n()
  useTitle(t('nav.nodes'))
  useLiveNodes()
  const nodes = useNodes()
  return (
    <>
      <PageHead title={t('nav.nodes')} note={t('nodes.note')} />
      <ErrorNote error={nodes.error} onRetry={() => void nodes.refetch()} />
      {nodes.isPending ? (
        <Loading />
      ) : nodes.data?.length === 0 ? (
        <Empty icon="nodes" title={t('nodes.empty')}>
          {t('nodes.empty.text')}
        </Empty>
      ) : (
        <div className="node-grid">
          {nodes.data?.map((n) => (
            <NodeCard key={n.name} node={n} />
          ))}
        </div>
      )}
    </>
  )
}

function NodeCard({ node }: { node: ClusterNode }) {
  const { t, locale } = useI18n()
  const session = useSession()
  const act = useNodeAction()
  const [asking, setAsking] = useState(false)
  const [reason, setReason] = useState('')
  const operator = ['admin', 'operator'].includes(session.data?.user.role ?? '')
  return (
    <Card
      title={
        <>
          {node.name}
          <span className={`pill ${tone(node.state)}`}>
            <i className="dot" aria-hidden="true" />
            {t(`node.${node.state}`)}
          </span>
        </>
      }
      actions={
        operator &&
        (node.state === 'drained' ? (
          <Button busy={act.isPending} onClick={() => act.mutate({ node: node.name, action: 'resume' })}>
            {t('nodes.resume')}
          </Button>
        ) : (
          <Button tone="quiet" onClick={() => setAsking(true)}>
            {t('nodes.drain')}
          </Button>
        ))
      }
    >
      {node.reason && <p className="note warn slim">{node.reason}</p>}
      <ErrorNote error={asking ? null : act.error} />
      <Meter
        label={t('nodes.cores')}
        used={node.cores_used}
        total={node.cores}
        text={`${node.cores_used} / ${node.cores}`}
      />
      <Meter
        label={t('nodes.memory')}
        used={node.memory_used_bytes}
        total={node.memory_bytes}
        text={`${formatBytes(node.memory_used_bytes, locale)} / ${formatBytes(node.memory_bytes, locale)}`}
      />
      <p className="node-foot">
        <span>{node.gpus.length ? t('nodes.gpus', { n: node.gpus.length }) : t('nodes.nogpu')}</span>
        <span>{t('nodes.load', { load: node.load.toFixed(2) })}</span>
        <span>
          {t('nodes.seen')} <Ago at={node.last_seen} />
        </span>
        <span>v{node.version}</span>
      </p>
      {node.jobs.length > 0 && (
        <p className="node-jobs">
          {node.jobs.map((id) => (
            <Link key={id} href={`/runs/${id}`} className="label">
              #{id}
            </Link>
          ))}
        </p>
      )}
      <Dialog title={t('nodes.drain.title', { node: node.name })} open={asking} onClose={() => setAsking(false)}>
        <form
          onSubmit={(e) => {
            e.preventDefault()
            act.mutate({ node: node.name, action: 'drain', reason }, { onSuccess: () => setAsking(false) })
          }}
        >
          <p className="dialog-text">{t('nodes.drain.text')}</p>
          <TextField label={t('nodes.reason')} value={reason} onChange={setReason} required autoFocus />
          <ErrorNote error={act.error} />
          <footer>
            <Button onClick={() => setAsking(false)}>{t('action.cancel')}</Button>
            <Button type="submit" tone="primary" busy={act.isPending}>
              {t('nodes.drain')}
            </Button>
          </footer>
        </form>
      </Dialog>
    </Card>
  )
}
