/* One stroke, one size, the text's own colour. */
const paths = {
  tasks: 'M4 5.5h16M4 12h16M4 18.5h10',
  runs: 'M3.500 17.500l5-6 4 3.500 4-7 4 3M3.500 21h17',
  nodes: 'M4 4.500h16v6H4zM4 13.500h16v6H4zM7.500 7.500h.01M7.500 16.500h.01',
  plus: 'M12 5v14M5 12h14',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4',
  check: 'M5 12.500l4.500 4.500L19 7.500',
  cross: 'M6 6l12 12M18 6L6 18',
  warn: 'M12 4.500l8.500 15h-17zM12 10.500v4M12 17h.01',
  download: 'M12 4v11M7.500 11l4.500 4.500 4.500-4.500M4.500 20h15',
  upload: 'M12 16V4.500M7.500 9L12 4.500 16.500 9M4.500 20h15',
  stop: 'M7 7h10v10H7z',
  play: 'M8 5.500v13l10.500-6.500z',
  chevron: 'M9 6l6 6-6 6',
  down: 'M6 9l6 6 6-6',
  sun: 'M12 16.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9zM12 2.500v2M12 19.500v2M2.500 12h2M19.500 12h2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M5.300 18.700l1.400-1.400M17.300 6.700l1.400-1.400',
  moon: 'M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z',
  system: 'M4 5h16v11H4zM9 20h6M12 16v4',
  globe:
    'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM3.500 12h17M12 3c2.500 2.500 3.800 5.500 3.800 9s-1.300 6.500-3.800 9c-2.500-2.500-3.800-5.500-3.800-9S9.500 5.500 12 3z',
  exit: 'M14 4.500h5v15h-5M10 8l-4 4 4 4M6 12h9.500',
  trash: 'M5 7h14M9.500 7V4.500h5V7M7 7l.8 12.500h8.400L17 7M10.500 10.500v6M13.500 10.500v6',
  file: 'M6.500 3.500h7l4 4v13h-11zM13.500 3.500v4h4',
  folder: 'M3.500 6h6l2 2.500h9V19h-17z',
  dataset:
    'M12 9c4.500 0 7.500-1.300 7.500-3S16.500 3 12 3 4.500 4.300 4.500 6 7.500 9 12 9zM4.500 6v12c0 1.700 3 3 7.500 3s7.500-1.300 7.500-3V6M4.500 12c0 1.700 3 3 7.500 3s7.500-1.300 7.500-3',
  algorithm: 'M4 4v16h16M7 8c3 0 3 8 6.500 8 2.500 0 3-2.500 6-2.500',
  model: 'M9 5.500h6v4H9zM3.500 15h6v4h-6zM14.500 15h6v4h-6zM12 9.500V12M6.500 15v-3h11v3',
  layer: 'M12 4l8.500 4.500L12 13 3.500 8.500zM3.500 12.300L12 16.800l8.500-4.500M3.500 16l8.500 4.500 8.500-4.500',
  copy: 'M9 9h11v11H9zM5.500 15H4V4h11v1.500',
  refresh: 'M19.500 12a7.500 7.500 0 1 1-2.200-5.300L19.500 9M19.500 4.500V9H15',
  pause: 'M8.500 6v12M15.500 6v12',
  clock: 'M12 20.500a8.500 8.500 0 1 0 0-17 8.500 8.500 0 0 0 0 17zM12 7.500V12l3 2',
  help: 'M12 20.500a8.500 8.500 0 1 0 0-17 8.500 8.500 0 0 0 0 17zM9.800 9.500a2.300 2.300 0 1 1 3.300 2c-.8.500-1.100.9-1.100 2M12 16.500h.01',
} as const

export type IconName = keyof typeof paths

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg className="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  )
}

export function Logo({ size = 24 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false" className="logo">
      <rect width="32" height="32" rx="8" />
      <path d="M8 24h16M8 24c7 0 6-9 9-12.500C18.600 9.700 20.500 8 24 8" />
      <circle cx="24" cy="8" r="2.600" />
    </svg>
  )
}
