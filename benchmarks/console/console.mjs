/* The console's speed in headless Chromium, against the stand-in server: first paint, script of the first load, drawing of
 * ten series of 100,000 points, following of 1,000 points a second, a model of 1,000 layers.
 *
 *   (cd webui && npm ci && npm run build) && node benchmarks/console/console.mjs [times]
 *
 * Prints one line a measure: median of so many times (default 5), smallest and largest.
 */
import { openBrowser, dist, until } from '../../tests/browser/lib.mjs'
import { createMock, fillTask } from '../../tests/browser/mock/server.mjs'

const times = Number(process.argv[2] ?? 5)
const POINTS = 100_000
const SERIES = 10

const results = new Map()
function note(name, value, unit) {
  if (!results.has(name)) results.set(name, { unit, values: [] })
  results.get(name).values.push(value)
}

async function signIn(page, mock) {
  await page.goto(`${mock.url}/#signin=mock-token`)
  await page.locator('.shell').waitFor()
}

/** What the page says of its own beginning. */
async function firstLoad(context, mock) {
  const page = await context.newPage()
  await page.goto(`${mock.url}/tasks`)
  await page.getByRole('link', { name: 'mnist' }).waitFor()
  const m = await page.evaluate(
    () =>
      new Promise((resolve) => {
        let shift = 0
        new PerformanceObserver((l) => {
          for (const e of l.getEntries()) if (!e.hadRecentInput) shift += e.value
        }).observe({ type: 'layout-shift', buffered: true })
        setTimeout(() => {
          const scripts = performance.getEntriesByType('resource').filter((e) => e.name.endsWith('.js'))
          resolve({
            paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN,
            script: scripts.reduce((n, e) => n + e.encodedBodySize, 0) / 1000,
            shift,
          })
        }, 300)
      }),
  )
  note('first contentful paint', m.paint, 'ms')
  note('script of the first load, compressed', m.script, 'kB')
  note('layout shift', m.shift, '')
  await page.close()
}

/** Frames while something happens: how many a second, and the longest. */
async function frames(page, during) {
  await page.evaluate(() => {
    window.frames_ = []
    let last = performance.now()
    const tick = (t) => {
      window.frames_.push(t - last)
      last = t
      window.frame_ = requestAnimationFrame(tick)
    }
    window.frame_ = requestAnimationFrame(tick)
  })
  await during()
  const f = await page.evaluate(() => {
    cancelAnimationFrame(window.frame_)
    return window.frames_.slice(1)
  })
  const total = f.reduce((a, b) => a + b, 0)
  return { perSecond: (1000 * f.length) / total, longest: Math.max(...f) }
}

const record = (job, step, steps) => ({
  seq: 2 ** 40 + job.metrics.length + 1,
  attempt: 1,
  record: {
    t: 1.7e9 + step / 100,
    kind: 'train',
    step,
    values: Object.fromEntries(
      Array.from({ length: SERIES }, (_, k) => [
        `series_${k}`,
        Math.exp((-3 * step) / steps) + 0.1 * Math.sin(step * (k + 1)),
      ]),
    ),
  },
})

async function longRun(context) {
  const mock = await createMock({ dist, tick: 1e6 })
  fillTask(mock.world)
  const row = mock.world.submit('mnist', { name: 'long', dataset: 'mnist', algorithm: 'adam', model: 'cnn' })
  const job = mock.world.jobs.get(row.id)
  Object.assign(row, { state: 'RUNNING', attempt: 1, started: new Date().toISOString() })
  job.metrics.push({ seq: 2 ** 40 + 1, attempt: 1, record: { t: 1.7e9, kind: 'start', steps: 2 * POINTS, epochs: 10 } })
  for (let i = 1; i <= POINTS; i++) job.metrics.push(record(job, i, 2 * POINTS))
  const page = await context.newPage()
  await signIn(page, mock)
  await page.goto(`${mock.url}/runs/${row.id}`)
  await until('the history', async () => (await page.locator('.curves').getAttribute('data-complete')) === 'true', 120)
  await page.getByRole('button', { name: /Show \d+ more/ }).click()
  await until('ten charts', async () => (await page.locator('[data-chart]').count()) === SERIES)
  // Every chart is made anew from all its points when the axis changes: from the press to the frame in which it is seen.
  for (const axis of ['Epoch', 'Elapsed', 'Step']) {
    const ms = await page.evaluate(async (name) => {
      const button = [...document.querySelectorAll('.curves .segmented button')].find((b) => b.textContent === name)
      const start = performance.now()
      button.click()
      await new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))
      return performance.now() - start
    }, axis)
    note(`drawing ${SERIES} series of ${POINTS.toLocaleString('en')} points`, ms, 'ms')
  }
  const f = await frames(page, async () => {
    for (let i = 0; i < 300; i++) {
      const e = record(job, POINTS + i + 1, 2 * POINTS)
      job.metrics.push(e)
      mock.world.publish(`job/${row.id}/metrics`, e.seq, { attempt: 1, record: e.record })
      await new Promise((r) => setTimeout(r, 1000 / (1000 / SERIES)))
    }
  })
  note('following 1,000 points/s beside them', f.perSecond, 'frames/s')
  note('its longest frame', f.longest, 'ms')
  await page.close()
  await mock.close()
}

async function largeModel(context) {
  const mock = await createMock({ dist, tick: 1e6 })
  fillTask(mock.world)
  const layers = Array.from({ length: 1000 }, (_, i) => ({
    name: `layer_${i}`,
    type: i % 2 ? 'relu' : 'dense',
    inputs: [i ? `layer_${i - 1}` : 'x'],
    ...(i % 2 ? {} : { config: { units: 64 } }),
  }))
  const model = {
    format: 'trainyard.model/1',
    name: 'deep',
    inputs: [{ name: 'x', shape: [64] }],
    layers,
    outputs: ['layer_999'],
  }
  mock.world.addAsset('mnist', 'models', { name: 'deep', bytes: Buffer.from(JSON.stringify(model, null, 1)) })
  const page = await context.newPage()
  await signIn(page, mock)
  await page.goto(`${mock.url}/tasks/mnist/models/deep`)
  await page.locator('.react-flow__node').first().waitFor()
  const start = Date.now()
  await page.getByRole('link', { name: 'New version' }).click()
  await page.locator('.builder .react-flow__node').first().waitFor()
  note('a model of 1,000 layers opens in the builder', Date.now() - start, 'ms')
  const box = await page.locator('.builder-canvas').boundingBox()
  const f = await frames(page, async () => {
    await page.mouse.move(box.x + 60, box.y + box.height - 30)
    await page.mouse.down()
    for (let i = 0; i < 60; i++) await page.mouse.move(box.x + 60, box.y + box.height - 30 - 8 * i)
    await page.mouse.up()
  })
  note('panning it', f.perSecond, 'frames/s')
  await page.close()
  await mock.close()
}

const browser = await openBrowser()
try {
  const mock = await createMock({ dist, tick: 1e6, demo: true })
  const page = await browser.context.newPage()
  await signIn(page, mock)
  await page.close()
  for (let i = 0; i < times; i++) await firstLoad(browser.context, mock)
  await mock.close()
  for (let i = 0; i < Math.max(1, Math.ceil(times / 3)); i++) {
    await longRun(browser.context)
    await largeModel(browser.context)
  }
} finally {
  await browser.close()
}
for (const [name, { unit, values }] of results) {
  const v = values.toSorted((a, b) => a - b)
  const show = (x) => (x < 1 ? x.toFixed(4) : x.toFixed(1))
  process.stdout.write(
    `${name}: ${show(v[v.length >> 1])} ${unit} (${show(v[0])} to ${show(v.at(-1))}, n=${v.length})\n`,
  )
}
