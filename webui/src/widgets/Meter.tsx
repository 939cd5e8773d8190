/** How much of something is in use. */
export function Meter({ label, used, total, text }: { label: string; used: number; total: number; text: string }) {
  const share = total > 0 ? Math.min(1, used / total) : 0
  return (
    <div
      className="meter"
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(share * 100)}
      aria-valuetext={text}
    >
      <span>{label}</span>
      <span className="meter-bar">
        <i style={{ width: `${share * 100}%` }} />
      </span>
      <span className="num">{text}</span>
    </div>
  )
}
