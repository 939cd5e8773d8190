import { useEffect, useState } from 'react'
import { useLocation } from 'wouter'
import { useJobAction, type JobAction } from '../../api/hooks'
import { isFinal, type Job } from '../../api/types'
import { useI18n } from '../../i18n'
import { runAgainPath } from '../../lib/runlink'
import { Button, Confirm, errorText } from '../../widgets/basic'

/** What can be done with a run in its present state. The server decides; these are what it would allow. */
export function Actions({ job }: { job: Job }) {
  const { t } = useI18n()
  const [, go] = useLocation()
  const act = useJobAction()
  const [asking, setAsking] = useState(false)
  const over = isFinal(job.state)
  // A run that ended by itself while the question stood needs no answer any more.
  useEffect(() => {
    // eslint-disable-next-line react-hooks/set-state-in-effect
    if (over) setAsking(false)
  }, [over])
  const doing = (action: JobAction) => act.isPending && act.variables.action === action
  const now = (action: JobAction) =>
    act.mutate({ id: job.id, action }, { onSuccess: (made) => made.id !== job.id && go(`/runs/${made.id}`) })
  const again = runAgainPath(job)
  return (
    <>
      {act.error && !asking && (
        <span className="action-error" role="alert">
          {errorText(act.error, t)}
        </span>
      )}
      {job.state === 'PENDING' && (
        <Button
          icon={job.held ? 'play' : 'pause'}
          busy={doing('hold') || doing('release')}
          onClick={() => now(job.held ? 'release' : 'hold')}
        >
          {t(job.held ? 'run.release' : 'run.hold')}
        </Button>
      )}
      {!over && (
        <Button tone="danger" icon="stop" onClick={() => setAsking(true)}>
          {t('run.cancel')}
        </Button>
      )}
      {over && job.state !== 'COMPLETED' && job.kind === 'train' && (
        <Button icon="play" title={t('run.resume.text')} busy={doing('resume')} onClick={() => now('resume')}>
          {t('run.resume')}
        </Button>
      )}
      {over && (
        <Button icon="copy" title={t('run.clone.text')} busy={doing('clone')} onClick={() => now('clone')}>
          {t('run.clone')}
        </Button>
      )}
      {over && again && (
        <Button tone="primary" icon="edit" onClick={() => go(again)}>
          {t('run.change')}
        </Button>
      )}
      <Confirm
        open={asking}
        title={t('run.cancel.title', { id: job.id })}
        text={t('run.cancel.text')}
        action={t('run.cancel')}
        busy={act.isPending}
        error={act.error}
        onClose={() => {
          act.reset()
          setAsking(false)
        }}
        onConfirm={() => act.mutate({ id: job.id, action: 'cancel' }, { onSuccess: () => setAsking(false) })}
      />
    </>
  )
}
