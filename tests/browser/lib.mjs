/* What every browser test needs: playwright-core and axe from the console's packages, Debian's chromium, and words for
 * waiting. No test downloads anything, and a page that asks another host for something fails its test. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '../..')
const require = createRequire(join(root, 'webui/package.json'))
const { chromium } = require('playwright-core')
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')

/** A folder with the built console: $TRAINYARD_CONSOLE, or what `npm run build` makes. */
export const dist = process.env.TRAINYARD_CONSOLE ?? join(root, 'webui/dist')

export async function openBrowser() {
  const profile = mkdtempSync(join(tmpdir(), 'trainyard-browser-'))
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    acceptDownloads: true,
    viewport: { width: 1440, height: 900 },
    locale: 'en-GB',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  return {
    context,
    close: async () => {
      await context.close()
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** A page that remembers what went wrong on it: script errors, refused policy, requests to other hosts. */
export async function openPage(context, base) {
  const page = await context.newPage()
  const trouble = []
  const own = new URL(base).host
  page.on('pageerror', (e) => trouble.push(`script error: ${e.message}`))
  page.on('console', (m) => {
    if (m.type() === 'error' && /Content Security Policy|Refused to/.test(m.text())) trouble.push(m.text())
  })
  page.on('request', (r) => {
    const u = new URL(r.url())
    if (/^(https?|wss?):$/.test(u.protocol) && u.host !== own) trouble.push(`request to another host: ${r.url()}`)
  })
  return { page, trouble }
}

/** Serious findings of axe-core, as lines. Run through the debugger's world: the page's own policy allows no foreign script. */
export async function axeFindings(page) {
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() =>
    window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
  )
  return violations
    .filter((v) => v.impact === 'serious' || v.impact === 'critical')
    .map(
      (v) =>
        `${v.id}: ${v.help} — ${v.nodes.map((n) => `${n.target.join(' ')} (${n.any[0]?.message ?? ''})`).join('; ')}`,
    )
}

/** Waits until f gives something true; says what was there instead when it does not come. */
export async function until(what, f, seconds = 15) {
  const end = Date.now() + seconds * 1000
  let last
  for (;;) {
    last = await f()
    if (last) return last
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what}; last: ${JSON.stringify(last)}`)
    await new Promise((r) => setTimeout(r, 50))
  }
}

/** The points drawn so far in one chart ("loss"). */
export async function points(page, chart) {
  const text = await page.locator(`[data-chart="${chart}"]`).first().getAttribute('data-points')
  return Number(text)
}

/** A number that changes with the picture: a chart is a canvas, and a canvas that stays empty has no colours. */
export async function picture(page, chart) {
  return page
    .locator(`[data-chart="${chart}"] canvas`)
    .first()
    .evaluate((c) => {
      const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height)
      let inked = 0
      let hash = 0
      for (let i = 0; i < data.length; i += 4) {
        if (data[i + 3]) inked++
        hash = (hash * 31 + data[i] + data[i + 1] * 7 + data[i + 2] * 13 + data[i + 3]) | 0
      }
      return { inked, hash }
    })
}
