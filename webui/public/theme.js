/* Runs before the first paint, so that a chosen theme never flashes the other one. A file and not inline: the content
 * security policy allows no inline script. The key is read again in src/lib/preferences.ts. */
try {
  const theme = localStorage.getItem('trainyard.theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch {
  /* storage is off: follow the system */
}
