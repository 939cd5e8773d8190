import { Icon } from './icons'

export function Search({ label, value, onChange }: { label: string; value: string; onChange: (v: string) => void }) {
  return (
    <span className="search">
      <Icon name="search" />
      <input
        className="input"
        type="search"
        aria-label={label}
        placeholder={label}
        value={value}
        onChange={(e) => onChange(e.target.value)}
      />
    </span>
  )
}
