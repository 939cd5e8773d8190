/* A stand-in for the orchestrator that speaks docs/api.md, for work on pages and for tests of what a real server does
 * seldom: broken connections, repeated events. `node server.mjs` serves the built console on http://127.0.0.1:7879 with
 * demo data (user ada, password "secret", or token "mock-token"); createMock() is for tests. */
import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { dirname, extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { World, verify } from './model.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')
const { WebSocketServer } = createRequire(join(root, 'webui/package.json'))('ws')

/* The policy of webui/README.md, so that what it forbids is found here. */
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

class Refusal extends Error {
  constructor(status, detail, more = {}) {
    super(detail)
    this.body = {
      type: 'about:blank',
      title:
        { 400: 'Bad request', 401: 'Not signed in', 404: 'Not found', 409: 'Conflict', 422: 'Verification failed' }[
          status
        ] ?? 'Error',
      status,
      detail,
      ...more,
    }
  }
}

export async function createMock({ port = 0, dist = join(root, 'webui/dist'), tick = 60, demo = false } = {}) {
  const subscribers = new Set() // {socket, topic}
  const world = new World({
    tick,
    publish: (topic, seq, data) => {
      for (const s of subscribers)
        if (s.topic === topic) s.socket.send(JSON.stringify({ op: 'event', topic, seq, data }))
    },
  })
  const sessions = new Set()
  const people = [{ name: 'ada', role: 'admin', created: new Date().toISOString() }]
  const tokens = []
  const oneTime = new Set(['one-time'])
  const control = { down: false, requests: [], subscriptions: [], slowVerify: 0 }

  const history = (topic) => {
    const m = /^job\/(\d+)\/(metrics|logs)$/.exec(topic)
    const job = m && world.jobs.get(Number(m[1]))
    return job ? job[m[2]].map((e) => ({ seq: e.seq, data: { attempt: e.attempt, record: e.record } })) : []
  }
  const lastSeq = (topic) => {
    const m = /^job\/(\d+)\/state$/.exec(topic)
    if (m) return world.jobs.get(Number(m[1]))?.events.length ?? 0
    return history(topic).at(-1)?.seq ?? world.sequence[topic] ?? 0
  }

  const http = createServer((req, res) => void handle(req, res))
  const wss = new WebSocketServer({
    noServer: true,
    handleProtocols: (p) => (p.has('trainyard.v1') ? 'trainyard.v1' : false),
  })
  http.on('upgrade', (req, socket, head) => {
    if (control.down || req.url !== '/api/v1/stream' || !signedIn(req)) return socket.destroy()
    wss.handleUpgrade(req, socket, head, (ws) => {
      ws.on('message', (text) => receive(ws, JSON.parse(text)))
      ws.on('close', () => {
        for (const s of subscribers) if (s.socket === ws) subscribers.delete(s)
      })
    })
  })

  function receive(ws, m) {
    const answer = (o) => ws.send(JSON.stringify(o))
    if (m.op === 'ping') return answer({ op: 'pong', id: m.id })
    if (m.op === 'unsubscribe') {
      for (const s of subscribers) if (s.socket === ws && s.topic === m.topic) subscribers.delete(s)
      return answer({ op: 'unsubscribed', id: m.id })
    }
    if (m.op !== 'subscribe') return answer({ op: 'error', id: m.id, detail: `unknown op "${m.op}"` })
    control.subscriptions.push({ topic: m.topic, since: m.since })
    answer({ op: 'subscribed', id: m.id, topic: m.topic, seq: lastSeq(m.topic) })
    if (m.since !== undefined)
      for (const e of history(m.topic)) if (e.seq > m.since) answer({ op: 'event', topic: m.topic, ...e })
    subscribers.add({ socket: ws, topic: m.topic })
  }

  const cookie = (req) => /trainyard_session=(\w+)/.exec(req.headers.cookie ?? '')?.[1]
  const signedIn = (req) => sessions.has(cookie(req))

  async function handle(req, res) {
    if (control.down) return req.socket.destroy()
    const url = new URL(req.url, 'http://mock')
    const path = decodeURIComponent(url.pathname)
    if (!path.startsWith('/api/')) return serve(path, res)
    control.requests.push(`${req.method} ${path}`)
    try {
      const chunks = []
      for await (const c of req) chunks.push(c)
      const bytes = Buffer.concat(chunks)
      const api = path.slice('/api/v1'.length)
      const open = req.method === 'POST' && api === '/sessions'
      if (!open && !signedIn(req)) throw new Refusal(401, 'sign in first')
      if (!['GET', 'HEAD'].includes(req.method) && req.headers['x-trainyard'] !== '1')
        throw new Refusal(403, 'X-Trainyard: 1 is missing')
      const json = () => (bytes.length ? JSON.parse(bytes.toString()) : {})
      const answer = await route(req.method, api, url.searchParams, bytes, json, req, res)
      if (answer === undefined) return
      const { status = 200, body, headers = {} } = answer
      res.writeHead(status, { 'Content-Type': 'application/json', ...headers })
      res.end(body === undefined ? undefined : Buffer.isBuffer(body) ? body : JSON.stringify(body))
    } catch (e) {
      const body =
        e instanceof Refusal ? e.body : { type: 'about:blank', title: 'Error', status: 500, detail: String(e.stack) }
      res.writeHead(body.status, { 'Content-Type': 'application/problem+json' })
      res.end(JSON.stringify(body))
    }
  }

  function serve(path, res) {
    let file = normalize(join(dist, path))
    if (!file.startsWith(dist) || !existsSync(file) || statSync(file).isDirectory()) file = join(dist, 'index.html')
    const gz = existsSync(`${file}.gz`)
    res.writeHead(200, {
      'Content-Type': types[extname(file)] ?? 'application/octet-stream',
      'Content-Security-Policy': POLICY,
      'Cache-Control': path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
      ...(gz && { 'Content-Encoding': 'gzip' }),
    })
    createReadStream(gz ? `${file}.gz` : file).pipe(res)
  }

  const list = (items, q) => {
    const limit = Number(q.get('limit') ?? 50)
    const from = Number(q.get('cursor') ?? 0)
    return {
      body: {
        items: items.slice(from, from + limit),
        next_cursor: from + limit < items.length ? String(from + limit) : null,
      },
    }
  }
  const need = (v, what) => {
    if (!v) throw new Refusal(404, `there is no ${what}`)
    return v
  }

  async function route(method, api, q, bytes, json, req, res) {
    let m
    const is = (wanted, pattern) => method === wanted && (m = pattern.exec(api))
    if (is('POST', /^\/sessions$/)) {
      const c = json()
      if (!(c.name === 'ada' && c.password === 'secret') && c.token !== 'mock-token' && !oneTime.delete(c.token))
        throw new Refusal(401, c.token ? 'the token is unknown, used or expired' : 'the name or the password is wrong')
      const id = Math.random().toString(36).slice(2)
      sessions.add(id)
      return {
        status: 201,
        body: { user: { name: 'ada', role: 'admin' }, expires: null },
        headers: { 'Set-Cookie': `trainyard_session=${id}; HttpOnly; SameSite=Strict; Path=/` },
      }
    }
    if (is('GET', /^\/sessions\/current$/)) return { body: { user: { name: 'ada', role: 'admin' }, expires: null } }
    if (is('DELETE', /^\/sessions\/current$/)) {
      sessions.delete(cookie(req))
      return { status: 204 }
    }
    if (is('GET', /^\/tasks$/)) {
      const s = (q.get('q') ?? '').toLowerCase()
      return list(
        [...world.tasks.values()]
          .reverse()
          .filter((t) => [t.name, t.description, ...t.labels].some((x) => x.toLowerCase().includes(s))),
        q,
      )
    }
    if (is('POST', /^\/tasks$/)) {
      const b = json()
      if (world.tasks.has(b.name)) throw new Refusal(409, `there is already a task "${b.name}"`)
      return { status: 201, body: world.addTask(b) }
    }
    if (is('GET', /^\/tasks\/([^/]+)$/)) return { body: need(world.tasks.get(m[1]), `task "${m[1]}"`) }
    if (is('DELETE', /^\/tasks\/([^/]+)$/)) {
      world.tasks.delete(m[1])
      return { status: 204 }
    }
    if (is('POST', /^\/verify\/fit$/))
      return {
        body: {
          format: 'trainyard.verification/1',
          kind: 'fit',
          ok: true,
          trainer: 'mock',
          seconds: 0.01,
          checks: ['fit.input', 'fit.output', 'fit.memory', 'fit.batch'].map((name) => ({
            name,
            status: 'passed',
            message: `${name.slice(4)} fits`,
            pointer: null,
            line: 0,
            column: 0,
            expected: null,
            actual: null,
            hint: null,
            seconds: 0,
          })),
          summary: {
            steps: 1200,
            steps_per_epoch: 400,
            epochs: 3,
            ranks: 2,
            batch_size: 64,
            batch_per_rank: 32,
            memory_bytes: 91226112,
          },
        },
      }
    if (is('POST', /^\/verify\/(\w+)$/)) {
      if (control.slowVerify) await new Promise((r) => setTimeout(r, control.slowVerify))
      return { body: verify(m[1], bytes) }
    }
    if (is('GET', /^\/tasks\/([^/]+)\/instances$/))
      return list(
        jobRows().filter((j) => j.task === m[1]),
        q,
      )
    if (is('POST', /^\/tasks\/([^/]+)\/instances$/)) {
      const row = world.submit(m[1], json())
      if (!row) throw new Refusal(404, 'one of the three does not exist')
      return { status: 201, body: row }
    }
    if (is('GET', /^\/tasks\/([^/]+)\/(datasets|algorithms|layers|models)$/)) {
      const all = [...world.assets.entries()]
        .filter(([k]) => k.startsWith(`${m[1]}/${m[2]}/`))
        .flatMap(([, v]) => (q.get('versions') === 'all' ? v : v.slice(-1)))
      return list(all.map((a) => a.row).reverse(), q)
    }
    if (is('POST', /^\/tasks\/([^/]+)\/(datasets|algorithms|layers|models)$/)) {
      const r = world.addAsset(m[1], m[2], {
        name: q.get('name'),
        description: q.get('description') ?? '',
        metadata: JSON.parse(q.get('metadata') ?? '{}'),
        bytes,
      })
      if (r.refused)
        throw new Refusal(422, `the ${r.refused.kind} failed verification`, {
          errors: r.refused.checks.filter((c) => c.status === 'failed'),
          verification: r.refused,
        })
      return { status: r.created ? 201 : 200, body: r.asset }
    }
    if ((m = /^\/tasks\/([^/]+)\/(datasets|algorithms|layers|models)\/([^/]+)(?:\/(\w+))?$/.exec(api))) {
      const a = need(world.findAsset(m[1], m[2], m[3]), `${m[2]} "${m[3]}"`)
      if (method === 'DELETE') throw new Refusal(409, `run #1 uses ${m[3]}`)
      if (!m[4]) return { body: a.row }
      if (m[4] === 'content') return { body: a.bytes, headers: { 'Content-Type': 'application/octet-stream' } }
      if (m[4] === 'verification') return { body: a.row.verification }
      if (m[4] === 'graph') return { body: a.row.verification.summary.graph }
      if (m[4] === 'preview') return { body: preview() }
    }
    if (is('GET', /^\/jobs$/))
      return list(
        jobRows().filter((j) => !q.get('state') || q.get('state').split(',').includes(j.state)),
        q,
      )
    if ((m = /^\/jobs\/(\d+)(?:\/(.*))?$/.exec(api)))
      return jobRoute(method, need(world.jobs.get(Number(m[1])), `job ${m[1]}`), m[2], q)
    if (is('GET', /^\/layer-types$/)) return { body: { format: 'trainyard.layer-types/1', layers: LAYER_TYPES } }
    if (is('GET', /^\/users$/)) return { body: { items: people, next_cursor: null } }
    if (is('POST', /^\/users$/)) {
      const { name, role } = json()
      if (people.some((p) => p.name === name)) throw new Refusal(409, `there is already a user "${name}"`)
      people.push({ name, role, created: new Date().toISOString() })
      return { status: 201, body: people.at(-1) }
    }
    if (is('GET', /^\/tokens$/)) return { body: { items: tokens, next_cursor: null } }
    if (is('POST', /^\/tokens$/)) {
      const { name, kind } = json()
      const row = {
        id: tokens.length + 1,
        name,
        kind,
        user: 'ada',
        node: null,
        created: new Date().toISOString(),
        expires: null,
      }
      tokens.push(row)
      return { status: 201, body: { ...row, token: 'ty_0123456789abcdef' } }
    }
    if (is('DELETE', /^\/tokens\/(\d+)$/)) {
      tokens.splice(
        tokens.findIndex((x) => x.id === Number(m[1])),
        1,
      )
      return { status: 204 }
    }
    if (is('GET', /^\/partitions$/))
      return { body: { items: [{ name: 'default', default: true, max_time_seconds: null, nodes: ['n1'] }] } }
    if (is('GET', /^\/nodes$/)) return { body: { items: [{ ...world.node, last_seen: new Date().toISOString() }] } }
    if (is('POST', /^\/nodes\/[^/]+\/(drain|resume)$/)) {
      world.node.state = m[1] === 'drain' ? 'drained' : 'up'
      world.node.reason = m[1] === 'drain' ? json().reason : ''
      return { body: world.node }
    }
    throw new Refusal(404, `no route ${method} ${api}`)
  }

  const jobRows = () => [...world.jobs.values()].map((j) => j.row).reverse()

  function jobRoute(method, job, part, q) {
    if (!part) return { body: job.row }
    if (method === 'POST' && part === 'cancel') {
      if (!world.cancel(job)) throw new Refusal(409, `job ${job.row.id} has already ended`)
      return { body: job.row }
    }
    if (method === 'POST' && (part === 'hold' || part === 'release')) {
      job.row.held = part === 'hold'
      world.event(job, part, 'PENDING', { by: 'admin' })
      return { body: job.row }
    }
    if (method === 'POST' && part === 'clone') return { status: 201, body: world.submit(job.row.task, job.row) }
    if (part === 'events') return { body: { items: job.events } }
    if (part === 'artifacts') return { body: { items: job.artifacts } }
    if (part === 'metrics' || part === 'logs') {
      const since = Number(q.get('since') ?? 0)
      let items = job[part].filter((e) => e.seq > since)
      if (q.has('tail')) items = items.slice(-Number(q.get('tail')))
      items = items.slice(0, Number(q.get('limit') ?? 100000))
      return { body: { items, next_cursor: null } }
    }
    if (part.startsWith('artifacts/')) {
      const a = need(
        job.artifacts.find((x) => x.name === part.slice(10)),
        `artifact ${part}`,
      )
      if (a.name === 'report.json') return { body: report(job) }
      return {
        body: Buffer.alloc(a.size, 7),
        headers: {
          'Content-Type': 'application/octet-stream',
          'Content-Disposition': `attachment; filename="${a.name}"`,
        },
      }
    }
    throw new Refusal(404, `no route ${method} ${part}`)
  }

  if (demo) seed(world)
  await new Promise((ok) => http.listen(port, '127.0.0.1', ok))
  return {
    url: `http://127.0.0.1:${http.address().port}`,
    world,
    control,
    oneTime,
    /** every live connection breaks, as when a server dies */
    drop: () => {
      for (const ws of wss.clients) ws.terminate()
    },
    /** sends the last n events of a topic again */
    repeat: (topic, n) => {
      for (const e of history(topic).slice(-n))
        for (const s of subscribers) if (s.topic === topic) s.socket.send(JSON.stringify({ op: 'event', topic, ...e }))
    },
    endSessions: () => sessions.clear(),
    close: async () => {
      world.close()
      for (const ws of wss.clients) ws.terminate()
      http.closeAllConnections()
      await new Promise((ok) => http.close(ok))
    },
  }
}

/** report.json as a trainer writes it: each epoch, and a confusion matrix in which one pair is confused most. */
function report(job) {
  const evals = job.metrics.filter((m) => m.record.kind === 'eval')
  const count = (i, k) => (i === k ? 980 - i : i === 4 && k === 9 ? 17 : (i * 7 + k * 3) % 11 === 0 ? 2 : 0)
  const ten = (f) => Array.from({ length: 10 }, (_, i) => f(i))
  return {
    format: 'trainyard.report/1',
    outcome: 'finished',
    epochs: evals.map((m, i) => ({
      epoch: i + 1,
      step: m.record.step,
      train: { loss: m.record.values.loss * 0.9, accuracy: Math.min(1, m.record.values.accuracy + 0.01) },
      eval: m.record.values,
      learning_rate: 0.001,
      seconds: 6.5 + i / 10,
    })),
    confusion_matrix: { of: 'test', rows_are: 'truth', labels: ten(String), rows: ten((i) => ten((k) => count(i, k))) },
  }
}

function preview() {
  const samples = Array.from({ length: 30 }, (_, i) => {
    const pixels = Buffer.alloc(28 * 28)
    for (let a = 0; a < 6.283; a += 0.03) {
      const r = i % 10 === 1 ? 1 : 5 + (i % 3)
      const x = Math.round(14 + r * Math.cos(a) * (i % 10 === 7 ? 0.3 : 1))
      const y = Math.round(14 + (r + 3) * Math.sin(a))
      for (const [dx, dy, v] of [
        [0, 0, 255],
        [1, 0, 150],
        [0, 1, 150],
      ])
        pixels[(y + dy) * 28 + x + dx] = v
    }
    return {
      split: 'train',
      index: i,
      class: i % 10,
      label: null,
      width: 28,
      height: 28,
      channels: 1,
      image: pixels.toString('base64'),
    }
  })
  return {
    samples,
    classes: Array.from({ length: 10 }, (_, i) => ({ name: null, count: 5421 + ((i * 977) % 1300) })),
    columns: [],
  }
}

/* As the trainer's own table, in small. */
const parameter = (name, type, more) => ({ name, type, required: false, default: null, help: `${name} of it`, ...more })
const layerType = (name, group, params = [], most = 1) => ({
  name,
  group,
  summary: `The ${name} layer.`,
  formula: 'out = f(in)',
  source: 'a paper',
  min_inputs: 1,
  max_inputs: most,
  params,
})
const LAYER_TYPES = [
  layerType('dense', 'core', [parameter('units', 'integer', { required: true, min: 1, max: 16777216 })]),
  layerType('dropout', 'core', [parameter('rate', 'real', { default: 0.5, min: 0, max: 1 })]),
  layerType('rescale', 'core', [parameter('scale', 'real', { default: 1 })]),
  layerType('conv2d', 'convolution', [
    parameter('filters', 'integer', { required: true, min: 1, max: 65536 }),
    parameter('kernel', 'pair', { default: 3, min: 1, max: 255 }),
    parameter('use_bias', 'boolean', { default: true }),
  ]),
  layerType('max_pool2d', 'pooling', [parameter('pool', 'pair', { default: 2, min: 1, max: 255 })]),
  layerType('flatten', 'shape'),
  layerType('relu', 'activation'),
  layerType('add', 'merge', [], 64),
]

export const MODEL = {
  format: 'trainyard.model/1',
  name: 'cnn',
  inputs: [{ name: 'image', shape: [1, 28, 28], dtype: 'uint8' }],
  layers: [
    { name: 'scale', type: 'rescale', inputs: ['image'], config: { scale: 0.00392156862745098 } },
    { name: 'conv1', type: 'conv2d', inputs: ['scale'], config: { filters: 16, kernel: 3, padding: 'same' } },
    { name: 'relu1', type: 'relu', inputs: ['conv1'] },
    { name: 'pool1', type: 'max_pool2d', inputs: ['relu1'], config: { pool: 2 } },
    { name: 'conv2', type: 'conv2d', inputs: ['pool1'], config: { filters: 32, kernel: 3, padding: 'same' } },
    { name: 'relu2', type: 'relu', inputs: ['conv2'] },
    { name: 'pool2', type: 'max_pool2d', inputs: ['relu2'], config: { pool: 2 } },
    { name: 'flat', type: 'flatten', inputs: ['pool2'] },
    { name: 'hidden', type: 'dense', inputs: ['flat'], config: { units: 128 } },
    { name: 'relu3', type: 'relu', inputs: ['hidden'] },
    { name: 'logits', type: 'dense', inputs: ['relu3'], config: { units: 10 } },
  ],
  outputs: ['logits'],
}
export const ALGORITHM = {
  format: 'trainyard.algorithm/1',
  name: 'adam',
  loss: { type: 'softmax_cross_entropy' },
  optimizer: { type: 'adam', learning_rate: 0.001 },
  batch_size: 64,
  epochs: 3,
  metrics: ['accuracy'],
  seed: 1,
}

/** One task with everything a run needs. */
export function fillTask(world, name = 'mnist', description = 'Handwritten digits') {
  world.addTask({ name, description, labels: ['digits', 'images'] })
  world.addAsset(name, 'datasets', {
    name: 'mnist',
    description: 'the four IDX files',
    bytes: Buffer.alloc(11_594_722, 1),
  })
  world.addAsset(name, 'models', {
    name: 'cnn',
    description: 'two convolutions',
    bytes: Buffer.from(JSON.stringify(MODEL, null, 2)),
  })
  world.addAsset(name, 'algorithms', { name: 'adam', bytes: Buffer.from(JSON.stringify(ALGORITHM, null, 2)) })
}

/** What pages look like with something in them. */
function seed(world) {
  world.addTask({
    name: 'housing',
    description: 'House prices from nine columns',
    type: 'regression',
    labels: ['tabular'],
  })
  world.addTask({ name: 'shakespeare', description: 'One character after another', type: 'language-model' })
  fillTask(world)
  world.addAsset('mnist', 'models', {
    name: 'cnn',
    description: 'wider',
    bytes: Buffer.from(JSON.stringify({ ...MODEL, name: 'cnn2' }, null, 2)),
  })
  const past = (name, minutes, epochs, after) => {
    const row = world.submit('mnist', {
      name,
      dataset: 'mnist',
      algorithm: 'adam',
      model: 'cnn',
      resources: { ranks: 2 },
      overrides: { '/epochs': epochs },
    })
    const job = world.jobs.get(row.id)
    const tick = world.tick
    world.tick = 0
    row.attempt = 1
    row.nodes = ['n1']
    job.events = []
    const real = Date.now
    let clock = real() - minutes * 60000
    Date.now = () => (clock += 350)
    world.event(job, 'submit', 'PENDING')
    world.event(job, 'placed', 'STARTING', { node: 'n1' })
    world.event(job, 'started', 'RUNNING')
    world.metric(job, {
      kind: 'start',
      ranks: 2,
      steps: epochs * 400,
      epochs,
      samples: 60000,
      parameters: 421642,
      backend: 'cpu',
    })
    const until = after === 'fail' ? 260 : epochs * 400
    for (let step = 10; step <= until; step += 10) world.trainStep(job, step, epochs * 400, epochs)
    Date.now = real
    world.tick = tick
    const at = (m) => new Date(real() - m * 60000).toISOString()
    row.submitted = at(minutes)
    row.started = at(minutes - 0.05)
    job.events.forEach((e) => (e.at = row.started))
    if (after === 'fail')
      world.fail(job, 'rank 1 on n1 ended with signal 9', [
        'step 250/1200  loss 0.8121',
        'mpirun noticed that process rank 1 exited on signal 9 (Killed).',
      ])
    else {
      world.event(job, 'ended', 'COMPLETING', { exit_code: 0 })
      for (const [name2, size] of [
        ['weights.safetensors', 1686568],
        ['model.json', 1204],
        ['algorithm.json', 412],
        ['report.json', 3810],
      ])
        job.artifacts.push({ name: name2, size, digest: 'a'.repeat(64), attempt: 1, created: at(minutes - 3) })
      row.exit_code = 0
      world.release(job)
      world.event(job, 'artifacts_stored', 'COMPLETED')
    }
    row.ended = at(minutes - 3.2)
  }
  past('baseline', 180, 3)
  past('longer', 75, 5)
  past('wider', 30, 3, 'fail')
  world.submit('mnist', {
    name: 'with cosine',
    dataset: 'mnist',
    algorithm: 'adam',
    model: 'cnn',
    resources: { ranks: 2 },
    overrides: { '/epochs': 20 },
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const mock = await createMock({
    port: Number(process.env.PORT ?? 7879),
    demo: true,
    tick: Number(process.env.TICK ?? 120),
  })
  process.stdout.write(`${mock.url}/#signin=mock-token\n`)
  process.on('SIGTERM', () => process.exit(0))
  process.on('SIGINT', () => process.exit(0))
}
