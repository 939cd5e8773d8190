/* The console against the stand-in server of mock/: sign-in, findings at their line, replay and reconnection, and that every
 * page is free of serious accessibility findings, of horizontal scrolling and of requests to other hosts. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, afterEach, before, describe, test } from 'node:test'
import { axeFindings, dist, openBrowser, openPage, picture, points, until } from './lib.mjs'
import { createMock, fillTask, MODEL } from './mock/server.mjs'

let browser
before(async () => {
  browser = await openBrowser()
})
after(() => browser?.close())

let mock
let page
let trouble

async function start(options = {}) {
  mock = await createMock({ dist, tick: 40, ...options })
  await browser.context.clearCookies()
  ;({ page, trouble } = await openPage(browser.context, mock.url))
}
async function signIn() {
  await page.goto(`${mock.url}/#signin=mock-token`)
  await page.locator('.shell').waitFor()
}
/** A run that is going, and its page. */
async function running(epochs = 2) {
  fillTask(mock.world)
  const row = mock.world.submit('mnist', {
    name: 'first',
    dataset: 'mnist',
    algorithm: 'adam',
    model: 'cnn',
    resources: { ranks: 2 },
    overrides: { '/epochs': epochs },
  })
  await page.goto(`${mock.url}/runs/${row.id}`)
  return mock.world.jobs.get(row.id)
}

afterEach(async () => {
  const seen = trouble
  await page?.close()
  await mock?.close()
  assert.deepEqual(seen, [])
})

describe('signing in', () => {
  test('by name and password; a wrong one is said and what was typed stays', async () => {
    await start()
    await page.goto(`${mock.url}/runs`)
    await page.getByLabel('User name').fill('ada')
    await page.getByLabel('Password', { exact: true }).fill('wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').getByText('the name or the password is wrong').waitFor()
    assert.equal(await page.getByLabel('User name').inputValue(), 'ada')
    await page.getByLabel('Password', { exact: true }).fill('secret')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'Runs' }).waitFor() // where one wanted to go
  })

  test('by the one-time token in the address, which leaves the address and works once', async () => {
    await start()
    await page.goto(`${mock.url}/#signin=one-time`)
    await page.locator('.shell').waitFor()
    assert.equal(new URL(page.url()).hash, '')
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('heading', { name: 'Sign in to Trainyard' }).waitFor()
    await page.goto('about:blank')
    await page.goto(`${mock.url}/#signin=one-time`)
    await page.getByRole('alert').getByText('unknown, used or expired').waitFor()
  })

  test('again when the session has ended', async () => {
    await start()
    await signIn()
    mock.endSessions()
    await page.getByRole('link', { name: 'Nodes' }).click()
    await page.getByRole('heading', { name: 'Sign in to Trainyard' }).waitFor()
  })
})

describe('assets', () => {
  test('a finding stands at its line, and goes when the text is right', async () => {
    await start()
    fillTask(mock.world)
    await signIn()
    await page.goto(`${mock.url}/tasks/mnist/models/new`)
    const source = page.getByRole('textbox', { name: 'Source' })
    const text = JSON.stringify({ ...MODEL, name: 'typo' }, null, 2)
    const broken = text.replace('"type": "relu"', '"type": "rleu"')
    const line = broken.slice(0, broken.indexOf('"rleu"')).split('\n').length
    await source.fill(broken)
    await page.locator(`.editor-gutter [data-line="${line}"].failed`).waitFor()
    const finding = page.locator(`[data-check="model.types"][data-line="${line}"]`)
    await finding.getByText('did you mean').waitFor()

    await finding.getByRole('button').click()
    const at = await source.evaluate((e) => e.value.slice(0, e.selectionStart).split('\n').length)
    assert.equal(at, line)

    await source.fill(text)
    await page.locator('[data-verdict="ok"]').waitFor()
    assert.equal(await page.locator('.editor-gutter .failed').count(), 0)
    await page.getByRole('button', { name: 'Verify and save' }).click()
    await page.waitForURL(/models\/typo@1$/)
    await page.locator('.react-flow__node').first().waitFor()
    await page.locator('.react-flow__node', { hasText: 'conv1' }).waitFor()
  })

  test('a refused upload says why and keeps the text', async () => {
    await start()
    fillTask(mock.world)
    await signIn()
    await page.goto(`${mock.url}/tasks/mnist/algorithms/new`)
    await page.getByRole('textbox', { name: 'Source' }).fill('{\n  "format": "trainyard.algorithm/1",\n  oops\n}')
    await page.getByLabel('Name').fill('broken')
    await page.getByRole('button', { name: 'Verify and save' }).click()
    await page.getByRole('alert').getByText('the algorithm failed verification').waitFor()
    assert.match(await page.getByRole('textbox', { name: 'Source' }).inputValue(), /oops/)
    await page.locator('.editor-gutter [data-line="3"].failed').waitFor()
  })

  test('several dataset files go as one tar, with what one chose', async () => {
    await start()
    mock.world.addTask({ name: 'digits' })
    await signIn()
    await page.goto(`${mock.url}/tasks/digits/datasets/new`)
    await page.getByTestId('files').setInputFiles([
      { name: 'train-images-idx3-ubyte', mimeType: 'application/octet-stream', buffer: Buffer.alloc(3000, 1) },
      { name: 'train-labels-idx1-ubyte', mimeType: 'application/octet-stream', buffer: Buffer.alloc(20, 2) },
    ])
    await page.getByText('2 files').waitFor()
    await page.getByLabel('Name').fill('drawn')
    await page.getByRole('button', { name: 'Upload and verify' }).click()
    await page.waitForURL(/datasets\/drawn@1$/)
    const sent = mock.world.findAsset('digits', 'datasets', 'drawn').bytes
    assert.equal(sent.subarray(0, 23).toString(), 'train-images-idx3-ubyte')
    assert.equal(sent.subarray(257, 262).toString(), 'ustar')
    assert.equal(sent.length % 512, 0)
    assert.deepEqual(sent.subarray(512, 3512), Buffer.alloc(3000, 1))
    await page.locator('canvas').first().waitFor()
  })
})

describe('a run', () => {
  test('from the form to its results, live', async () => {
    await start()
    fillTask(mock.world)
    await signIn()
    await page.goto(`${mock.url}/tasks/mnist`)
    await page.getByRole('link', { name: 'Start a run' }).first().click()
    await page.locator('[data-fit="ok"]').waitFor()
    await page.getByLabel('Epochs').fill('1')
    await page.getByLabel('Name of the run').fill('by hand')
    mock.world.holdAt = 100
    await page.getByRole('button', { name: 'Start training' }).click()
    await page.waitForURL(/runs\/1$/)
    await page.locator('[data-run][data-state="RUNNING"]').waitFor()
    await until('three points', async () => (await points(page, 'loss')) >= 3)
    const before = { n: await points(page, 'loss'), picture: await picture(page, 'loss') }
    assert.ok(before.picture.inked > 500, 'the canvas is drawn on')
    mock.world.holdAt = 250
    await until('the curve to move', async () => (await points(page, 'loss')) > before.n + 5)
    assert.notEqual((await picture(page, 'loss')).hash, before.picture.hash)
    mock.world.holdAt = Infinity
    await page.locator('[data-run][data-state="COMPLETED"]').waitFor({ timeout: 20000 })
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.locator('[data-artifact="weights.safetensors"]').click(),
    ])
    assert.equal(download.suggestedFilename(), 'weights.safetensors')
    assert.deepEqual(mock.world.jobs.get(1).row.overrides, { '/epochs': 1 })
  })

  test('breaks in the connection and repeated events leave no gap and no double', async () => {
    await start()
    await signIn()
    const job = await running(2)
    await until('some points', async () => (await points(page, 'loss')) >= 5)
    for (let i = 0; i < 3; i++) {
      mock.drop()
      await page.locator('[data-stream="waiting"]').waitFor({ state: 'attached' })
      await page.locator('[data-stream="open"]').waitFor({ state: 'attached' })
      mock.repeat(`job/${job.row.id}/metrics`, 7)
      mock.repeat(`job/${job.row.id}/logs`, 3)
    }
    mock.control.down = true
    mock.drop()
    await page.getByText('The live connection broke').waitFor()
    await new Promise((r) => setTimeout(r, 700))
    mock.control.down = false
    await page.locator('[data-run][data-state="COMPLETED"]').waitFor({ timeout: 30000 })
    const expected = job.metrics.flatMap((m) => ('loss' in (m.record.values ?? {}) ? [m] : [])).length
    await until(`${expected} points`, async () => (await points(page, 'loss')) === expected)
    const again = mock.control.subscriptions.filter((s) => s.topic === `job/${job.row.id}/metrics`)
    assert.ok(again.length >= 4, 'it subscribed again after each break')
    assert.ok(
      again.slice(1).every((s) => s.since > 0),
      'and asked only for what it had not seen',
    )
    assert.equal(Number(await page.locator('.log-lines').getAttribute('data-lines')), job.logs.length)
  })

  test('the log follows, stops when one scrolls up, and follows again', async () => {
    await start({ tick: 25 })
    await signIn()
    const job = await running(12)
    for (let i = 0; i < 80; i++) mock.world.log(job, `line ${i}`)
    const log = page.locator('.log-lines')
    await until('many lines', async () => Number(await log.getAttribute('data-lines')) > 60)
    const end = () => log.evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight)
    await until('the end', async () => (await end()) < 25)
    await log.hover()
    await page.mouse.wheel(0, -400)
    await page.getByRole('button', { name: 'Follow the end' }).waitFor()
    const top = await log.evaluate((e) => e.scrollTop)
    const n = Number(await log.getAttribute('data-lines'))
    await until('new lines', async () => Number(await log.getAttribute('data-lines')) > n + 2)
    assert.equal(await log.evaluate((e) => e.scrollTop), top)
    await page.getByRole('button', { name: 'Follow the end' }).click()
    await until('the end again', async () => (await end()) < 25)
  })

  test('says at its end which classes it takes for which, and gives its files as one zip', async () => {
    await start({ demo: true })
    await signIn()
    await page.goto(`${mock.url}/runs/1`)
    await page.getByTitle('17 of 4 taken for 9').waitFor()
    await page.getByText('4 taken for 9', { exact: true }).waitFor()
    assert.equal(await page.locator('.epochs tbody tr').count(), 3)
    const [zip] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'All as zip' }).click(),
    ])
    assert.equal(zip.suggestedFilename(), 'run-1.zip')
    const bytes = readFileSync(await zip.path())
    // the names of its central directory
    const names = []
    for (let at = bytes.indexOf('PK\x01\x02'); at >= 0; at = bytes.indexOf('PK\x01\x02', at + 4))
      names.push(bytes.subarray(at + 46, at + 46 + bytes.readUInt16LE(at + 28)).toString())
    const expected = ['algorithm.json', 'model.json', 'report.json', 'weights.safetensors'].map((n) => `run-1/${n}`)
    assert.deepEqual(names.sort(), expected)
    assert.ok(bytes.includes(Buffer.alloc(1000, 7)))
  })

  test('zooms all its curves together, smooths them, and gives them as CSV and as a picture', async () => {
    await start({ demo: true })
    await signIn()
    await page.goto(`${mock.url}/runs/2`)
    await until('the points', async () => (await points(page, 'loss')) > 100)
    const all = await points(page, 'loss')
    const before = await picture(page, 'accuracy')
    const plot = await page.locator('[data-chart="loss"] .u-over').boundingBox()
    await page.mouse.move(plot.x + plot.width * 0.2, plot.y + 40)
    await page.mouse.down()
    await page.mouse.move(plot.x + plot.width * 0.5, plot.y + 60, { steps: 5 })
    await page.mouse.up()
    await page.locator('[data-chart="accuracy"][data-zoomed="true"]').waitFor()
    assert.notEqual((await picture(page, 'accuracy')).hash, before.hash)
    await page.getByRole('button', { name: 'Whole run' }).click()
    await page.locator('[data-chart="accuracy"][data-zoomed="false"]').waitFor()
    await page.getByRole('slider', { name: 'Smoothing' }).fill('0.9')
    await until('a smoother picture', async () => (await picture(page, 'accuracy')).hash !== before.hash)
    const save = async (name) =>
      (await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name }).click()]))[0]
    const rows = readFileSync(await (await save('Save Loss as CSV')).path(), 'utf8')
      .trim()
      .split('\r\n')
    assert.equal(rows[0], 'run,series,step,epoch,seconds,value')
    assert.equal(rows.length - 1, all)
    const png = readFileSync(await (await save('Save Loss as a picture')).path())
    assert.deepEqual([...png.subarray(1, 4)], [...Buffer.from('PNG')])
  })

  test('is cancelled after a question', async () => {
    await start()
    await signIn()
    await running(9)
    await page.locator('[data-run][data-state="RUNNING"]').waitFor()
    await page.getByRole('button', { name: 'Stop run' }).click()
    await page.keyboard.press('Escape')
    await page.locator('dialog[open]').waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Stop run' }).click()
    await page.locator('dialog[open]').getByRole('button', { name: 'Stop run' }).click()
    await page.locator('[data-run][data-state="CANCELLED"]').waitFor()
  })

  test('shows in the list as it goes', async () => {
    await start()
    await signIn()
    await page.goto(`${mock.url}/runs`)
    await page.getByText('No runs yet').waitFor()
    fillTask(mock.world)
    mock.world.submit('mnist', {
      name: 'elsewhere',
      dataset: 'mnist',
      algorithm: 'adam',
      model: 'cnn',
      overrides: { '/epochs': 1 },
    })
    await page.locator('tr[data-job="1"] [data-state="RUNNING"]').waitFor()
    await page.locator('tr[data-job="1"] svg.sparkline').waitFor({ timeout: 15000 })
    await page.locator('tr[data-job="1"] [data-state="COMPLETED"]').waitFor({ timeout: 20000 })
  })
})

test('the dashboard says what runs, what has ended, and what is free', async () => {
  await start({ demo: true, tick: 1500 })
  await signIn()
  await page.goto(`${mock.url}/`)
  await page.getByRole('heading', { level: 1, name: 'Dashboard' }).waitFor()
  await page.getByRole('link', { name: /longer/ }).waitFor()
  await page.getByRole('link', { name: /with cosine/ }).waitFor()
  await page.getByRole('meter', { name: 'Cores' }).waitFor()
  await page.getByRole('link', { name: /longer/ }).click()
  await page.waitForURL(/runs\/2$/)
})

test('everything is reached by keys: palette, places, search, and the sheet that says so', async () => {
  await start({ demo: true, tick: 1500 })
  await signIn()
  await page.keyboard.press('Control+k')
  await page.getByRole('combobox', { name: 'Find anything' }).waitFor()
  await page.keyboard.type('longer')
  await page.getByRole('option', { name: /longer/ }).waitFor()
  await page.keyboard.press('Enter')
  await page.waitForURL(/runs\/2$/)
  await page.getByRole('heading', { level: 1, name: /longer/ }).waitFor()
  await page.keyboard.press('g')
  await page.keyboard.press('t')
  await page.waitForURL(/\/tasks$/)
  await page.getByRole('link', { name: 'housing' }).waitFor()
  await page.keyboard.press('/')
  await page.keyboard.type('hous')
  await until('the search', async () => new URL(page.url()).search === '?q=hous')
  await page.keyboard.press('Control+k')
  await page.keyboard.type('dark')
  await page.getByRole('option', { name: 'Theme: dark' }).waitFor()
  await page.keyboard.press('Enter')
  await until('the dark theme', () => page.evaluate(() => document.documentElement.dataset.theme === 'dark'))
  await page.evaluate(() => localStorage.removeItem('trainyard.theme'))
  await page.locator('main').focus()
  await page.keyboard.press('?')
  await page.getByRole('dialog', { name: 'Keyboard' }).waitFor()
  assert.deepEqual(await axeFindings(page), [])
  await page.keyboard.press('Escape')
  await page.getByRole('dialog', { name: 'Keyboard' }).waitFor({ state: 'detached' })
})

test('tokens are made, shown once and revoked; an administrator adds users', async () => {
  await start()
  await signIn()
  await page.goto(`${mock.url}/settings`)
  await page.getByLabel('Name of a new token').fill('laptop')
  await page.getByRole('button', { name: 'Create token' }).click()
  await page.getByText('ty_0123456789abcdef').waitFor()
  await page.reload()
  await page.getByRole('cell', { name: 'laptop', exact: true }).waitFor()
  assert.equal(await page.getByText('ty_0123456789abcdef').count(), 0)
  await page.getByRole('button', { name: 'Revoke laptop' }).click()
  await page.locator('dialog[open]').getByRole('button', { name: 'Revoke', exact: true }).click()
  await page.getByRole('cell', { name: 'laptop', exact: true }).waitFor({ state: 'detached' })
  await page.getByRole('button', { name: 'Add user' }).click()
  await page.locator('dialog').getByLabel('User name').fill('bob')
  await page.locator('dialog').getByLabel('Password').fill('long enough')
  await page.locator('dialog').getByLabel('Role').selectOption('operator')
  await page.locator('dialog').getByRole('button', { name: 'Add user' }).click()
  await page.getByRole('cell', { name: 'bob', exact: true }).waitFor()
})

describe('the model builder', () => {
  const source = () => page.getByRole('textbox', { name: 'Source' })
  const model = async () => JSON.parse(await source().inputValue())
  const edges = async () => (await model()).layers.flatMap((l) => l.inputs.map((i) => `${i}>${l.name}`))
  async function build() {
    await start()
    fillTask(mock.world)
    await signIn()
    await page.goto(`${mock.url}/tasks/mnist/models/new?from=cnn@1`)
    await page.locator('[data-layer="scale"]').waitFor()
  }

  test('adds, edits, renames and removes layers, with the source in step and every step undone', async () => {
    await build()
    const before = await source().inputValue()
    await page.getByRole('searchbox', { name: 'Find a layer' }).fill('hidd')
    await page.keyboard.press('Enter')
    await page.locator('[data-layer="hidden"]').waitFor()
    await page.locator('.library').getByRole('button', { name: 'dropout' }).click()
    await page.locator('[data-layer="dropout"]').waitFor()
    assert.ok((await edges()).includes('hidden>dropout') && (await edges()).includes('dropout>relu3'))
    await page.locator('.inspector').getByLabel('rate').fill('0.25')
    assert.deepEqual((await model()).layers.find((l) => l.name === 'dropout').config, { rate: 0.25 })
    await page.locator('.inspector').getByLabel('Name', { exact: true }).fill('drop')
    await page.keyboard.press('Enter')
    await page.locator('[data-layer="drop"]').waitFor()
    assert.ok((await edges()).includes('drop>relu3'))
    await page.locator('[data-layer="drop"]').click()
    await page.keyboard.press('Delete')
    await page.locator('[data-layer="drop"]').waitFor({ state: 'detached' })
    assert.ok((await edges()).includes('hidden>relu3'))
    const undo = page.getByRole('button', { name: 'Undo' })
    while (await undo.isEnabled()) await undo.click()
    assert.equal(await source().inputValue(), before)
    await page.getByRole('button', { name: 'Redo' }).click()
    await page.locator('[data-layer="dropout"]').waitFor()
  })

  test('opens an edge for a layer that is dropped on it, and connects by drawing a line', async () => {
    await build()
    const from = page.locator('.library').getByRole('button', { name: 'relu' })
    const edge = page.locator('[data-id=\'["scale","conv1"]\'] .react-flow__edge-interaction')
    const at = await edge.evaluate((e) => {
      const p = e.getPointAtLength(e.getTotalLength() / 2)
      const q = p.matrixTransform(e.getScreenCTM())
      return { x: q.x, y: q.y }
    })
    const data = await page.evaluateHandle(() => new DataTransfer())
    await from.dispatchEvent('dragstart', { dataTransfer: data })
    const place = { dataTransfer: data, clientX: at.x, clientY: at.y }
    await page.locator('.react-flow').dispatchEvent('dragover', place)
    await page.locator('.react-flow').dispatchEvent('drop', place)
    await page.locator('[data-layer="relu"]').waitFor()
    assert.ok((await edges()).includes('scale>relu') && (await edges()).includes('relu>conv1'))

    const dot = async (layer, side) => {
      const b = await page.locator(`[data-layer="${layer}"] .react-flow__handle-${side}`).boundingBox()
      return [b.x + b.width / 2, b.y + b.height / 2]
    }
    await page.mouse.move(...(await dot('scale', 'bottom')))
    await page.mouse.down()
    await page.mouse.move(...(await dot('conv1', 'top')), { steps: 8 })
    await page.mouse.up()
    await until('the new edge', async () => (await edges()).includes('scale>conv1'))
    assert.ok(!(await edges()).includes('relu>conv1'), 'a layer of one input lets the old one go')
  })

  test('shows a finding on the layer it is about, and shapes where there is none', async () => {
    await build()
    await page.locator('.react-flow__edge-text', { hasText: '28' }).first().waitFor()
    await source().fill((await source().inputValue()).replace('"type": "relu"', '"type": "rleu"'))
    await page.locator('[data-layer="relu1"][data-mark="failed"]').waitFor()
    await page.locator('[data-layer="relu1"]').click()
    await page.locator('.inspector').getByText('unknown type').waitFor()
    await source().fill('{')
    await page.getByText('The source cannot be read at the moment').waitFor()
    assert.ok(await page.locator('[data-layer="relu1"]').isVisible())
  })

  test('gives the drawing as SVG', async () => {
    await build()
    await page.getByRole('button', { name: 'Save the drawing' }).click()
    const [svg] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'SVG' }).click()])
    const text = readFileSync(await svg.path(), 'utf8')
    assert.match(text, /^<svg xmlns/)
    for (const l of MODEL.layers) assert.ok(text.includes(`>${l.name}</text>`))
  })
})

test('an algorithm’s form and source write each other', async () => {
  await start()
  fillTask(mock.world)
  await signIn()
  await page.goto(`${mock.url}/tasks/mnist/algorithms/new`)
  const source = page.getByRole('textbox', { name: 'Source' })
  const form = page.getByRole('group', { name: 'As a form' })
  const file = async () => JSON.parse(await source.inputValue())
  await form.getByLabel('epochs').fill('12')
  await form.getByLabel('optimizer').selectOption('sgd')
  await form.getByLabel('momentum').fill('0.9')
  assert.equal((await file()).epochs, 12)
  assert.deepEqual((await file()).optimizer, { type: 'sgd', learning_rate: 0.001, momentum: 0.9 })
  await form.getByLabel('schedule').selectOption('cosine')
  assert.deepEqual((await file()).schedule, { type: 'cosine' })
  await form.getByLabel('momentum').fill('')
  assert.deepEqual((await file()).optimizer, { type: 'sgd', learning_rate: 0.001 })
  await source.fill(JSON.stringify({ ...(await file()), batch_size: 77 }))
  assert.equal(await form.getByLabel('batch size').inputValue(), '77')
  await source.fill('{ "epochs": ')
  await page.getByText('no JSON object at the moment').waitFor()
})

describe('many runs', () => {
  test('are searched, ordered and grouped, with all of it in the address', async () => {
    await start({ demo: true })
    await signIn()
    await page.goto(`${mock.url}/runs`)
    const names = () => page.locator('tr[data-job] .row-link').allInnerTexts()
    await until('four rows', async () => (await names()).length === 4)
    await page.getByRole('searchbox', { name: /Search runs/ }).fill('-failed task:mnist wid')
    await page.getByText('No run matches').waitFor()
    await page.getByRole('searchbox', { name: /Search runs/ }).fill('wid')
    await until('one row', async () => (await names()).length === 1)
    await page.getByRole('searchbox', { name: /Search runs/ }).fill('')
    await page.getByRole('button', { name: 'Accuracy' }).click()
    assert.equal(await page.getByRole('columnheader', { name: 'Accuracy' }).getAttribute('aria-sort'), 'descending')
    const shown = (await page.locator('td[data-label="Accuracy"]').allInnerTexts()).map(parseFloat)
    const known = shown.filter((v) => !Number.isNaN(v))
    assert.ok(known.length >= 2)
    assert.deepEqual(
      known,
      [...known].sort((a, b) => b - a),
    )
    await page.getByRole('button', { name: 'Columns' }).click()
    await page.getByRole('checkbox', { name: 'Owner' }).check()
    await page.keyboard.press('Escape')
    await page.getByRole('columnheader', { name: 'Owner' }).waitFor()
    await page.getByRole('button', { name: 'Group' }).click()
    await page.getByRole('radio', { name: 'State' }).check()
    await page.getByRole('heading', { level: 2, name: /Completed/ }).waitFor()
    const address = page.url()
    await page.goto('about:blank')
    await page.goto(address)
    await page.getByRole('heading', { level: 2, name: /Completed/ }).waitFor()
    await page.getByRole('columnheader', { name: 'Owner' }).first().waitFor()
  })

  test('are compared: one picture of all curves, and in what they differ', async () => {
    await start({ demo: true })
    await signIn()
    await page.goto(`${mock.url}/runs`)
    await page.getByRole('checkbox', { name: 'Choose run #1' }).check()
    await page.getByRole('checkbox', { name: 'Choose run #2' }).check()
    await page.getByRole('link', { name: 'Compare' }).click()
    await page.waitForURL(/compare\?runs=/)
    const losses = [1, 2].reduce(
      (n, id) => n + mock.world.jobs.get(id).metrics.filter((m) => 'loss' in (m.record.values ?? {})).length,
      0,
    )
    await until(`${losses} points`, async () => (await points(page, 'loss')) === losses)
    const row = page.locator('[data-setting="/epochs"]')
    assert.deepEqual((await row.locator('td').allInnerTexts()).sort(), ['3', '5'])
    assert.equal(await page.locator('[data-setting="/batch_size"]').count(), 0)
    await page.getByRole('button', { name: 'All settings' }).click()
    await page.locator('[data-setting="/batch_size"]').waitFor()
    const both = await picture(page, 'loss')
    await page.getByRole('checkbox', { name: 'Show run #2' }).uncheck()
    await until('another picture', async () => (await picture(page, 'loss')).hash !== both.hash)
  })
})

test('a task is created and searched for by keyboard alone', async () => {
  await start()
  await signIn()
  await page.goto(`${mock.url}/tasks`)
  await page.getByText('No tasks yet').waitFor()
  await page.getByRole('button', { name: 'New task' }).first().focus()
  await page.keyboard.press('Enter')
  await page.keyboard.type('flowers')
  await page.keyboard.press('Tab')
  await page.keyboard.type('Three kinds of iris')
  await page.keyboard.press('Enter')
  await page.waitForURL(/tasks\/flowers$/)
  await page.getByRole('link', { name: 'Add dataset' }).waitFor()
  await page.goto(`${mock.url}/tasks`)
  await page.getByRole('searchbox', { name: 'Search tasks' }).fill('iris')
  await page.getByRole('link', { name: 'flowers' }).waitFor()
  await page.getByRole('searchbox', { name: 'Search tasks' }).fill('roses')
  await page.getByText('No task matches').waitFor()
})

const places = [
  '/',
  '/settings',
  '/tasks',
  '/tasks/mnist',
  '/tasks/housing',
  '/tasks/mnist?tab=models',
  '/tasks/mnist/models/new',
  '/tasks/mnist/algorithms/new',
  '/tasks/mnist/datasets/new',
  '/tasks/mnist/models/cnn',
  '/tasks/mnist/datasets/mnist',
  '/tasks/mnist/run',
  '/runs',
  '/runs/1',
  '/runs/3',
  '/runs/4',
  '/compare?runs=1,2,3',
  '/nodes',
  '/nowhere',
]
test('every word changes with the language, and the choice stays', async () => {
  await start({ demo: true })
  await signIn()
  await page.goto(`${mock.url}/tasks`)
  await page.getByRole('button', { name: '中文' }).click()
  await page.getByRole('heading', { level: 1, name: '任务' }).waitFor()
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'zh-Hans')
  await page.reload()
  await page.getByRole('heading', { level: 1, name: '任务' }).waitFor()
  await page.setViewportSize({ width: 390, height: 844 })
  for (const place of places) {
    await page.goto(mock.url + place)
    await page.locator('main h1, main h2').first().waitFor()
    assert.ok(
      (await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0,
      `${place} is too wide`,
    )
  }
  await page.getByRole('button', { name: 'English' }).click()
  await until('English', () => page.evaluate(() => document.documentElement.lang === 'en'))
})

test('the first load is at most 150 KB of compressed script, kept for ever by its name', async () => {
  await start({ demo: true })
  await signIn()
  const caching = new Map()
  page.on('response', (r) => {
    if (r.url().includes('/assets/')) caching.set(r.url(), r.headers()['cache-control'])
  })
  await page.goto(`${mock.url}/tasks`)
  await page.getByRole('link', { name: 'mnist' }).waitFor()
  const bytes = await page.evaluate(() =>
    performance
      .getEntriesByType('resource')
      .filter((e) => e.name.endsWith('.js'))
      .reduce((n, e) => n + e.encodedBodySize, 0),
  )
  assert.ok(bytes > 50_000 && bytes <= 150_000, `${bytes} bytes of script`)
  assert.ok(caching.size > 3)
  for (const [url, header] of caching) assert.match(header, /immutable/, url)
})

for (const scheme of ['light', 'dark'])
  for (const width of [1440, 390])
    test(`no serious accessibility finding and no sideways scrolling, ${scheme}, ${width} px`, async () => {
      await start({ demo: true, tick: 1500 })
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' })
      await page.setViewportSize({ width, height: 900 })
      await page.goto(mock.url)
      await page.getByRole('heading', { name: 'Sign in to Trainyard' }).waitFor()
      const found = (await axeFindings(page)).map((f) => `/ ${f}`)
      await signIn()
      for (const place of places) {
        await page.goto(mock.url + place)
        await page.locator('main h1, main h2').first().waitFor()
        await until('the data', async () => (await page.locator('.loading').count()) === 0)
        found.push(...(await axeFindings(page)).map((f) => `${place} ${f}`))
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        if (over > 0) found.push(`${place} is ${over} px too wide`)
      }
      assert.deepEqual(found, [])
    })
