import { useState } from 'react'
import { useI18n } from '../../i18n'
import type { LayerType } from '../../lib/modeldoc'
import { DRAG_TYPE } from './Canvas'

/** Layers to take: dragged to a place, or added behind what is selected by a press. */
export function Library({ types, onAdd }: { types: readonly LayerType[]; onAdd: (type: LayerType) => void }) {
  const { t } = useI18n()
  const [q, setQ] = useState('')
  const found = types.filter((x) => `${x.name} ${x.group} ${x.summary}`.toLowerCase().includes(q.trim().toLowerCase()))
  const groups = [...new Set(found.map((x) => x.group))]
  return (
    <div className="library">
      <input
        className="input small"
        type="search"
        placeholder={t('builder.search')}
        aria-label={t('builder.search')}
        value={q}
        onChange={(e) => setQ(e.target.value)}
      />
      <div className="library-list" tabIndex={0} role="region" aria-label={t('builder.library')}>
        {groups.map((g) => (
          <section key={g}>
            <h3>{g}</h3>
            <ul>
              {found
                .filter((x) => x.group === g)
                .map((x) => (
                  <li key={x.name}>
                    <button
                      type="button"
                      draggable
                      title={[x.summary, x.formula, x.source].filter(Boolean).join('\n')}
                      data-type={x.name}
                      data-group={g}
                      onDragStart={(e) => {
                        e.dataTransfer.setData(DRAG_TYPE, x.name)
                        e.dataTransfer.effectAllowed = 'copy'
                      }}
                      onClick={() => onAdd(x)}
                    >
                      {x.name}
                    </button>
                  </li>
                ))}
            </ul>
          </section>
        ))}
        {found.length === 0 && <p className="faint">{t('builder.nolayer')}</p>}
      </div>
    </div>
  )
}
