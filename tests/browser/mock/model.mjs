/* What the mock knows: tasks, assets, jobs, nodes, and training that goes by itself. Shapes are those of docs/api.md. */
import { createHash } from 'node:crypto'

export const LIMIT = 2 ** 40
const now = () => new Date().toISOString()
const kinds = { datasets: 'dataset', algorithms: 'algorithm', layers: 'layer', models: 'model' }

const check = (name, status, message, more = {}) => ({
  name,
  status,
  message,
  pointer: null,
  line: 0,
  column: 0,
  expected: null,
  actual: null,
  hint: null,
  seconds: 0.001,
  ...more,
})

function placeOf(text, offset) {
  const before = text.slice(0, offset)
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') }
}

/* A few honest checks, enough to have findings at lines: JSON syntax, format, unknown layer types. */
export function verify(kind, bytes) {
  const checks = []
  let summary = {}
  if (kind === 'dataset') {
    checks.push(
      check(
        'dataset.format',
        bytes.length ? 'passed' : 'failed',
        bytes.length ? 'IDX, 4 files in a tar' : 'the file is empty',
      ),
    )
    summary = {
      dataset_info: {
        format: 'idx',
        feature_shape: [1, 28, 28],
        feature_dtype: 'uint8',
        classes: 10,
        samples: { train: 60000, test: 10000 },
        target: 'class',
        target_width: 0,
        digest: null,
      },
    }
  } else {
    const text = bytes.toString('utf8')
    let value = null
    try {
      value = JSON.parse(text)
      checks.push(check('json.syntax', 'passed', 'valid JSON'))
    } catch (e) {
      const at = Number(/position (\d+)/.exec(e.message)?.[1] ?? text.length)
      checks.push(check('json.syntax', 'failed', e.message, { ...placeOf(text, at), pointer: '' }))
    }
    if (value) {
      const wanted = `trainyard.${kind}/1`
      checks.push(
        value.format === wanted
          ? check('file.format', 'passed', `format is ${wanted}`)
          : check('file.format', 'failed', `"format" is not ${wanted}`, {
              pointer: '/format',
              line: 1,
              column: 1,
              expected: wanted,
              actual: String(value.format),
            }),
      )
      if (kind === 'model') {
        const types = [
          'rescale',
          'conv2d',
          'relu',
          'max_pool2d',
          'flatten',
          'dense',
          'dropout',
          'batch_norm',
          'softmax',
        ]
        ;(value.layers ?? []).forEach((layer, i) => {
          if (types.includes(layer.type)) return
          const at = text.indexOf(`"type"`, text.indexOf(`"${layer.name}"`))
          const near = types.find((t) => t[0] === String(layer.type)[0])
          checks.push(
            check('model.types', 'failed', `layer "${layer.name}" has the unknown type "${layer.type}"`, {
              ...placeOf(text, at < 0 ? 0 : at),
              pointer: `/layers/${i}/type`,
              hint: near ? `did you mean "${near}"?` : null,
            }),
          )
        })
        summary = {
          parameters: 421642,
          flops: 4241152,
          weight_bytes: 1686568,
          activation_bytes: 150528,
          graph: graphOf(value),
        }
        for (const n of ['model.order', 'model.shapes', 'model.weights', 'model.try'])
          checks.push(check(n, 'passed', `${n.slice(6)}: fine`))
      }
      if (kind === 'algorithm') {
        const rate = value.optimizer?.learning_rate ?? 0.001
        const cosine = value.schedule?.type === 'cosine'
        const total = (value.epochs ?? 1) * 100
        summary = {
          name: value.name,
          loss: value.loss?.type,
          optimizer: value.optimizer?.type,
          schedule: value.schedule?.type ?? 'constant',
          learning_rate: rate,
          batch_size: value.batch_size,
          epochs: value.epochs,
          metrics: value.metrics ?? [],
          curve: {
            steps_per_epoch: 100,
            points: Array.from({ length: 101 }, (_, i) => {
              const x = i / 100
              return [
                Math.floor(x * (total - 1)),
                cosine ? rate * Math.min(1, x * 10) * (0.5 + 0.5 * Math.cos(Math.PI * x)) : rate,
              ]
            }),
          },
        }
        if ((value.optimizer?.learning_rate ?? 0) > 0.5)
          checks.push(
            check('algorithm.rate', 'warned', 'a learning rate above 0.5 rarely converges', {
              ...placeOf(text, text.indexOf('"learning_rate"')),
              pointer: '/optimizer/learning_rate',
            }),
          )
      }
    }
  }
  const ok = !checks.some((c) => c.status === 'failed')
  return {
    format: 'trainyard.verification/1',
    kind,
    ok,
    trainer: 'mock',
    seconds: 0.004,
    checks,
    summary: ok ? summary : {},
  }
}

const groups = {
  conv2d: 'convolution',
  max_pool2d: 'pooling',
  relu: 'activation',
  flatten: 'shape',
  rescale: 'core',
  dense: 'core',
}
const shapes = {
  scale: [1, 28, 28],
  conv1: [16, 28, 28],
  relu1: [16, 28, 28],
  pool1: [16, 14, 14],
  conv2: [32, 14, 14],
  relu2: [32, 14, 14],
  pool2: [32, 7, 7],
  flat: [1568],
  hidden: [128],
  relu3: [128],
  logits: [10],
}

function graphOf(m) {
  const inputs = m.inputs ?? []
  const layers = m.layers ?? []
  return {
    nodes: [
      ...inputs.map((i) => ({
        name: i.name,
        type: 'input',
        shape: i.shape,
        dtype: i.dtype,
        parameters: 0,
        flops: 0,
        bytes: 0,
        config: {},
        inputs: [],
        group: 'input',
      })),
      ...layers.map((l) => ({
        name: l.name,
        type: l.type,
        shape: shapes[l.name] ?? [128],
        dtype: 'float32',
        parameters: l.type === 'dense' ? 200832 : l.type === 'conv2d' ? 4640 : 0,
        flops: 1000,
        bytes: 4000,
        config: l.config ?? {},
        inputs: l.inputs ?? [],
        group: groups[l.type] ?? 'core',
      })),
    ],
    edges: layers.flatMap((l) =>
      (l.inputs ?? []).map((from) => ({ from, to: l.name, shape: shapes[from] ?? [1, 28, 28] })),
    ),
    inputs: inputs.map((i) => i.name),
    outputs: m.outputs ?? [],
    parameters: 421642,
    flops: 4241152,
    weight_bytes: 1686568,
    activation_bytes: 150528,
  }
}

export class World {
  constructor({ tick = 60, publish = () => {} } = {}) {
    this.tick = tick
    this.publish = publish
    this.tasks = new Map()
    this.assets = new Map() // "task/kinds/name" -> versions, oldest first
    this.jobs = new Map()
    this.sequence = { queue: 0, nodes: 0 }
    this.holdAt = Infinity
    this.timers = new Set()
    this.node = {
      name: 'n1',
      state: 'up',
      reason: '',
      cores: 8,
      memory_bytes: 16 * 2 ** 30,
      gpus: [],
      cores_used: 0,
      memory_used_bytes: 0,
      load: 0.4,
      version: '0.1.0',
      last_seen: now(),
      jobs: [],
    }
  }

  close() {
    for (const t of this.timers) clearInterval(t)
  }

  addTask({ name, description = '', type = 'classification', labels = [] }) {
    const task = {
      name,
      description,
      type,
      owner: 'admin',
      labels,
      created: now(),
      updated: now(),
      counts: { datasets: 0, algorithms: 0, layers: 0, models: 0, instances: 0 },
    }
    this.tasks.set(name, task)
    return task
  }

  addAsset(task, kindsName, { name, description = '', metadata = {}, bytes }) {
    const kind = kinds[kindsName]
    const verification = verify(kind, bytes)
    if (!verification.ok) return { refused: verification }
    const key = `${task}/${kindsName}/${name}`
    const versions = this.assets.get(key) ?? []
    const digest = createHash('sha256').update(bytes).digest('hex')
    const same = versions.find((a) => a.row.digest === digest)
    if (same) return { asset: same.row, created: false }
    const version = versions.length + 1
    const row = {
      kind,
      name,
      version,
      task,
      description,
      metadata,
      digest,
      size: bytes.length,
      created: now(),
      created_by: 'admin',
      verification,
      url: `/api/v1/tasks/${task}/${kindsName}/${name}@${version}`,
    }
    versions.push({ row, bytes })
    this.assets.set(key, versions)
    if (version === 1) this.tasks.get(task).counts[kindsName]++
    const topic = `task/${task}`
    this.sequence[topic] = (this.sequence[topic] ?? 0) + 1
    this.publish(topic, this.sequence[topic], { what: 'asset', action: 'created', kind, name, version })
    return { asset: row, created: true }
  }

  findAsset(task, kindsName, ref) {
    const [, name, version] = /^(.*?)(?:@(\d+))?$/.exec(ref)
    const versions = this.assets.get(`${task}/${kindsName}/${name}`) ?? []
    return version ? versions[Number(version) - 1] : versions.at(-1)
  }

  submit(task, body) {
    const id = this.jobs.size + 1
    const pin = (kindsName, ref) => {
      const a = this.findAsset(task, kindsName, ref)
      return a && `${a.row.name}@${a.row.version}`
    }
    const row = {
      id,
      kind: 'train',
      name: body.name ?? '',
      task,
      owner: 'admin',
      state: 'PENDING',
      reason: '',
      held: false,
      priority: 0,
      attempt: 0,
      submitted: now(),
      started: null,
      ended: null,
      exit_code: null,
      signal: null,
      resources: {
        ranks: 1,
        cores_per_rank: 1,
        memory_bytes: 2 ** 30,
        gpus_per_rank: 0,
        partition: 'default',
        ...body.resources,
      },
      time_limit_seconds: body.time_limit_seconds ?? 3600,
      nodes: [],
      dataset: pin('datasets', body.dataset),
      algorithm: pin('algorithms', body.algorithm),
      model: pin('models', body.model),
      overrides: body.overrides ?? {},
      progress: null,
      resubmitted_from: null,
      failure: null,
    }
    if (!row.dataset || !row.algorithm || !row.model) return null
    const job = { row, events: [], metrics: [], logs: [], artifacts: [] }
    this.jobs.set(id, job)
    this.tasks.get(task).counts.instances++
    this.event(job, 'submit', 'PENDING')
    this.later(() => this.start(job), 4)
    return row
  }

  later(f, ticks) {
    const t = setTimeout(() => {
      this.timers.delete(t)
      f()
    }, ticks * this.tick)
    this.timers.add(t)
  }

  event(job, event, to, detail = {}) {
    const from = job.events.length ? job.row.state : null
    job.row.state = to
    job.events.push({ seq: job.events.length + 1, at: now(), event, from, to, attempt: job.row.attempt, detail })
    this.publish(`job/${job.row.id}/state`, job.events.length, job.row)
    this.publish('queue', ++this.sequence.queue, job.row)
  }

  metric(job, record) {
    const seq = job.row.attempt * LIMIT + job.metrics.length + 1
    const entry = { seq, attempt: job.row.attempt, record: { t: Date.now() / 1000, ...record } }
    job.metrics.push(entry)
    this.publish(`job/${job.row.id}/metrics`, seq, { attempt: entry.attempt, record: entry.record })
  }

  log(job, text, stream = 'stdout') {
    const seq = job.row.attempt * LIMIT + job.logs.length + 1
    const entry = { seq, attempt: job.row.attempt, record: { t: Date.now() / 1000, stream, text } }
    job.logs.push(entry)
    this.publish(`job/${job.row.id}/logs`, seq, { attempt: entry.attempt, record: entry.record })
  }

  start(job) {
    if (job.row.state !== 'PENDING') return
    job.row.attempt = 1
    job.row.nodes = ['n1']
    job.row.started = now()
    this.node.jobs.push(job.row.id)
    this.node.cores_used += job.row.resources.ranks
    this.event(job, 'placed', 'STARTING', { node: 'n1' })
    this.log(job, 'mpirun: 2 ranks on n1')
    this.later(() => this.run(job), 5)
  }

  run(job) {
    if (job.row.state !== 'STARTING') return
    this.event(job, 'started', 'RUNNING')
    const epochs = Number(job.row.overrides['/epochs'] ?? 3)
    const perEpoch = 40
    const steps = epochs * perEpoch * 10
    this.metric(job, {
      kind: 'start',
      ranks: job.row.resources.ranks,
      steps,
      epochs,
      samples: 60000,
      parameters: 421642,
      backend: 'cpu',
    })
    this.log(job, `training 421,642 parameters for ${steps} steps`)
    let step = 0
    const timer = setInterval(() => {
      if (job.row.state !== 'RUNNING') {
        clearInterval(timer)
        this.timers.delete(timer)
        return
      }
      if (step >= this.holdAt) return // a test looks at what is there, however slow its machine
      step += 10
      this.trainStep(job, step, steps, epochs)
      if (step >= steps) {
        clearInterval(timer)
        this.timers.delete(timer)
        this.finish(job, step, epochs)
      }
    }, this.tick)
    this.timers.add(timer)
  }

  trainStep(job, step, steps, epochs) {
    const x = step / 400
    const noise = Math.sin(step * 12.9898) * 0.5
    const loss = 2.2 * Math.exp(-1.8 * x) + 0.05 + 0.06 * noise * Math.exp(-x * 0.4)
    const accuracy = Math.min(0.999, 0.985 - 0.86 * Math.exp(-2.2 * x) + 0.012 * noise)
    this.metric(job, {
      kind: 'train',
      step,
      epoch: Math.floor((step - 1) / 400),
      values: { loss, accuracy, learning_rate: 0.001 * (1 - step / steps), samples_per_second: 8100 + 300 * noise },
    })
    job.row.progress = {
      step,
      steps,
      epoch: Math.floor(step / 400),
      epochs,
      values: { 'train/loss': loss, 'train/accuracy': accuracy },
      seconds_left: ((steps - step) / 10) * (this.tick / 1000),
    }
    if (step % 50 === 0)
      this.log(job, `step ${step}/${steps}  loss ${loss.toFixed(4)}  accuracy ${accuracy.toFixed(4)}`)
    if (step % 130 === 0) this.log(job, 'warning: a slow batch was met', 'stderr')
    if (step % 400 === 0) {
      const values = { loss: loss * 1.08 + 0.01, accuracy: accuracy - 0.004 }
      this.metric(job, { kind: 'eval', step, epoch: step / 400, values })
      Object.assign(job.row.progress.values, { 'eval/loss': values.loss, 'eval/accuracy': values.accuracy })
      this.log(job, `epoch ${step / 400}: test loss ${values.loss.toFixed(4)}, accuracy ${values.accuracy.toFixed(4)}`)
    }
  }

  finish(job, step, epochs) {
    this.metric(job, { kind: 'end', step, epoch: epochs, values: {}, seconds: 12 })
    this.event(job, 'ended', 'COMPLETING', { exit_code: 0 })
    this.later(() => {
      for (const [name, size] of [
        ['weights.safetensors', 1686568],
        ['model.json', 1204],
        ['algorithm.json', 412],
        ['report.json', 3810],
      ])
        job.artifacts.push({
          name,
          size,
          digest: createHash('sha256')
            .update(name + job.row.id)
            .digest('hex'),
          attempt: 1,
          created: now(),
        })
      job.row.exit_code = 0
      this.release(job)
      this.event(job, 'artifacts_stored', 'COMPLETED')
    }, 6)
  }

  release(job) {
    job.row.ended = now()
    if (this.node.jobs.includes(job.row.id)) {
      this.node.jobs = this.node.jobs.filter((j) => j !== job.row.id)
      this.node.cores_used -= job.row.resources.ranks
    }
  }

  fail(job, message, tail) {
    job.row.exit_code = 1
    job.row.failure = { message, tail }
    this.release(job)
    this.event(job, 'ended', 'FAILED', { exit_code: 1 })
  }

  cancel(job) {
    if (!['PENDING', 'STARTING', 'RUNNING'].includes(job.row.state)) return false
    this.release(job)
    this.event(job, 'cancel', 'CANCELLED', { by: 'admin' })
    return true
  }
}
