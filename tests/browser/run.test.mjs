/* The whole way in a real browser against a real cluster: sign in, make a task, upload a dataset, a model and an algorithm,
 * start a run, see the curve move, wait for its end, download the weights.
 *
 *   TRAINYARD_URL     where the orchestrator listens
 *   TRAINYARD_SIGNIN  a one-time sign-in token (or TRAINYARD_TOKEN, a bearer token)
 *   TRAINYARD_SCREENSHOTS   optional: a folder for screenshots
 */
import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { axeFindings, openBrowser, openPage, picture, points, until } from './lib.mjs'

const base = process.env.TRAINYARD_URL?.replace(/\/$/, '')
const token = process.env.TRAINYARD_SIGNIN ?? process.env.TRAINYARD_TOKEN
if (!base || !token)
  throw new Error('set TRAINYARD_URL and TRAINYARD_SIGNIN (or TRAINYARD_TOKEN): this test needs a cluster that runs')

/* 16x16 pictures of ten classes: a bar whose place is its class, under noise. Easy enough to be learnt in a few steps, and
 * nothing but the training can have found it out. */
const SIDE = 16
function idx(shape, values) {
  const head = Buffer.alloc(4 + 4 * shape.length)
  head[2] = 8
  head[3] = shape.length
  shape.forEach((n, i) => head.writeUInt32BE(n, 4 + 4 * i))
  return Buffer.concat([head, values])
}
function pictures(count, seed) {
  let state = seed
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
  const images = Buffer.alloc(count * SIDE * SIDE)
  const labels = Buffer.alloc(count)
  for (let i = 0; i < count; i++) {
    const label = i % 10
    labels[i] = label
    for (let y = 0; y < SIDE; y++)
      for (let x = 0; x < SIDE; x++) {
        const bar = label < 5 ? Math.floor(x / 3.2) === label : Math.floor(y / 3.2) === label - 5
        images[(i * SIDE + y) * SIDE + x] = Math.floor((bar ? 150 : 20) + random() * 90)
      }
  }
  return { images: idx([count, SIDE, SIDE], images), labels: idx([count], labels) }
}
const train = pictures(6000, 1)
const heldOut = pictures(1000, 2)
const dataset = [
  ['train-images-idx3-ubyte', train.images],
  ['train-labels-idx1-ubyte', train.labels],
  ['t10k-images-idx3-ubyte', heldOut.images],
  ['t10k-labels-idx1-ubyte', heldOut.labels],
].map(([name, buffer]) => ({ name, mimeType: 'application/octet-stream', buffer }))

const model = {
  format: 'trainyard.model/1',
  name: 'bars',
  inputs: [{ name: 'image', shape: [1, SIDE, SIDE], dtype: 'uint8' }],
  layers: [
    { name: 'scale', type: 'rescale', inputs: ['image'], config: { scale: 0.00392156862745098 } },
    { name: 'conv', type: 'conv2d', inputs: ['scale'], config: { filters: 8, kernel: 3, padding: 'same' } },
    { name: 'relu', type: 'relu', inputs: ['conv'] },
    { name: 'flat', type: 'flatten', inputs: ['relu'] },
    { name: 'logits', type: 'dense', inputs: ['flat'], config: { units: 10 } },
  ],
  outputs: ['logits'],
}
const algorithm = {
  format: 'trainyard.algorithm/1',
  name: 'gentle',
  loss: { type: 'softmax_cross_entropy' },
  optimizer: { type: 'sgd', learning_rate: 0.02, momentum: 0.5 },
  batch_size: 64,
  epochs: 6,
  metrics: ['accuracy'],
  seed: 7,
}

let browser
let page
let trouble
const task = `bars-${Date.now().toString(36)}`

before(async () => {
  browser = await openBrowser()
  ;({ page, trouble } = await openPage(browser.context, base))
  page.setDefaultTimeout(30000)
})
after(() => browser?.close())

async function shot(name) {
  if (process.env.TRAINYARD_SCREENSHOTS)
    await page.screenshot({ path: join(process.env.TRAINYARD_SCREENSHOTS, `${name}.png`) })
}

async function addJson(kind, name, content) {
  await page.goto(`${base}/tasks/${task}/${kind}/new`)
  await page.getByRole('textbox', { name: 'Source' }).fill(JSON.stringify(content, null, 2))
  await page.getByLabel('Name', { exact: true }).fill(name)
  await page.locator('.verdict[data-current="true"] [data-verdict="ok"]').waitFor()
  await page.getByRole('button', { name: 'Verify and save' }).click()
  await page.waitForURL(`**/${kind}/${name}@1`)
  await page.locator('[data-verification="ok"]').first().waitFor()
}

test('a person trains a model by the console alone', { timeout: 300_000 }, async (t) => {
  // Each step needs the one before: after a failure the rest would only wait for what can't come.
  let failed = false
  const step = async (name, f) => {
    if (failed) return
    await t.test(name, async () => {
      try {
        await f()
      } catch (e) {
        failed = true
        await shot('failed').catch(() => undefined)
        throw e
      }
    })
  }

  await step('signs in by the link', async () => {
    await page.goto(`${base}/#signin=${encodeURIComponent(token)}`)
    await page.locator('.shell').waitFor()
    assert.equal(new URL(page.url()).hash, '')
  })

  await step('makes a task', async () => {
    await page.getByRole('link', { name: 'Tasks', exact: true }).click()
    await page.getByRole('button', { name: 'New task' }).first().click()
    await page.locator('dialog').getByLabel('Name', { exact: true }).fill(task)
    await page.locator('dialog').getByLabel('Description').fill('Bars under noise')
    await page.getByRole('button', { name: 'Create task' }).click()
    await page.waitForURL(`**/tasks/${task}`)
  })

  await step('uploads four files as one dataset', async () => {
    await page.getByRole('link', { name: 'Add dataset' }).click()
    await page.getByTestId('files').setInputFiles(dataset)
    await page.getByLabel('Name', { exact: true }).fill('bars')
    await page.getByRole('button', { name: 'Upload and verify' }).click()
    await page.waitForURL('**/datasets/bars@1')
    await page.locator('[data-verification="ok"]').first().waitFor()
    await shot('dataset')
  })

  await step('is told at which line a model is wrong, and puts it right', async () => {
    await page.goto(`${base}/tasks/${task}/models/new`)
    const text = JSON.stringify(model, null, 2).replace('"type": "relu"', '"type": "rleu"')
    const line = text.slice(0, text.indexOf('"rleu"')).split('\n').length
    await page.getByRole('textbox', { name: 'Source' }).fill(text)
    await page.locator(`.editor-gutter [data-line="${line}"].failed`).waitFor()
    await shot('finding')
    await addJson('models', 'cnn', model)
    await page.locator('.react-flow__node', { hasText: 'conv' }).waitFor()
    await shot('model')
  })

  await step('adds an algorithm', () => addJson('algorithms', 'gentle', algorithm))

  await step('finds every example that the console offers to be right', async () => {
    for (const kind of ['models', 'algorithms', 'layers']) {
      await page.goto(`${base}/tasks/${task}/${kind}/new`)
      const buttons = page.locator('form .toolbar .button.quiet')
      await buttons.first().waitFor()
      for (let i = 0; i < (await buttons.count()); i++) {
        await page.getByRole('textbox', { name: 'Source' }).fill('{}')
        await page.locator('[data-verdict="failed"]').waitFor()
        await buttons.nth(i).click()
        await page.locator('.verdict[data-current="true"] [data-verdict="ok"]').waitFor()
      }
    }
  })

  await step('starts a run on two ranks', async () => {
    await page.goto(`${base}/tasks/${task}`)
    await page.getByRole('link', { name: 'Start a run' }).first().click()
    await page.getByLabel('Ranks').fill('2')
    await page.getByLabel('Name of the run').fill('first')
    await page.locator('[data-fit="ok"]').waitFor()
    await page.getByRole('button', { name: 'Start training' }).click()
    await page.waitForURL(/\/runs\/\d+$/)
  })

  await step('sees the curve move', async () => {
    const drawn = async () => {
      const ended = page.locator(
        '[data-run]:is([data-state="FAILED"], [data-state="CANCELLED"], [data-state="NODE_FAIL"])',
      )
      if (await ended.count()) throw new Error(`the run ended early: ${await page.locator('main').innerText()}`)
      return (await page.locator('[data-chart="loss"]').count()) ? points(page, 'loss') : 0
    }
    await until('the first points', async () => (await drawn()) >= 2, 60)
    const first = { n: await points(page, 'loss'), picture: await picture(page, 'loss') }
    assert.ok(first.picture.inked > 200, 'the canvas is drawn on')
    await until('more points', async () => (await drawn()) > first.n + 3, 60)
    assert.notEqual((await picture(page, 'loss')).hash, first.picture.hash)
    await shot('running')
  })

  await step('sees it complete, with every point that the server has and having learnt', async () => {
    await page.locator('[data-run][data-state="COMPLETED"]').waitFor({ timeout: 180_000 })
    const id = Number(/runs\/(\d+)$/.exec(page.url())[1])
    const expected = await page.evaluate(async (job) => {
      const items = []
      for (let since = 0; ; since = items.at(-1).seq) {
        const r = await fetch(`/api/v1/jobs/${job}/metrics?limit=500&since=${since}`)
        const page = await r.json()
        items.push(...page.items)
        if (page.next_cursor === null || page.items.length === 0) break
      }
      const losses = items.filter((i) => ['train', 'eval'].includes(i.record.kind) && 'loss' in i.record.values)
      const last = items.findLast((i) => i.record.kind === 'eval')
      return { losses: losses.length, accuracy: last?.record.values.accuracy }
    }, id)
    await until(`${expected.losses} points`, async () => (await points(page, 'loss')) === expected.losses)
    assert.ok(expected.accuracy > 0.9, `the test accuracy is ${expected.accuracy}`)
    await until('log lines', async () => Number(await page.locator('.log-lines').getAttribute('data-lines')) > 0)
    await shot('completed')
  })

  await step('downloads the weights', async () => {
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.locator('[data-artifact="weights.safetensors"]').click(),
    ])
    const path = await download.path()
    assert.equal(download.suggestedFilename(), 'weights.safetensors')
    // safetensors: eight bytes of length, then a JSON header that says what is in the rest
    const bytes = readFileSync(path)
    const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString())
    const tensors = Object.entries(header).filter(([k]) => k !== '__metadata__')
    const elements = tensors.reduce((n, [, v]) => n + v.shape.reduce((a, b) => a * b, 1), 0)
    assert.equal(elements, 8 * 9 + 8 + (8 * SIDE * SIDE * 10 + 10))
    assert.ok(statSync(path).size > elements * 4)
  })

  await step('finds the run in the list and the machine among the nodes', async () => {
    await page.goto(`${base}/runs`)
    await page.locator('tr[data-job] [data-state="COMPLETED"]').first().waitFor()
    await page.locator('svg.sparkline').first().waitFor()
    await shot('runs')
    await page.goto(`${base}/nodes`)
    await page.getByText('Up', { exact: true }).first().waitFor()
    await shot('nodes')
  })

  await step('meets no script error, refused policy, foreign request or serious accessibility finding', async () => {
    assert.deepEqual(await axeFindings(page), [])
    assert.deepEqual(trouble, [])
  })
})
