/* node run_onnx.mjs: reads lines "MODEL.onnx VALUES.safetensors [NAME=FILE-TENSOR ...]" from stdin, runs each model on the tensors of
 * VALUES that are named as its inputs, and prints one JSON line for each: the largest difference of an output to the tensor named like
 * it, relative to 1 + |expected|. Lies in the folder of the packages, from where it imports them. */
import fs from 'node:fs'
import readline from 'node:readline'
import * as ort from 'onnxruntime-web'

ort.env.wasm.numThreads = 1
ort.env.logLevel = 'error'

const KINDS = { F32: ['float32', Float32Array], F64: ['float64', Float64Array], U8: ['uint8', Uint8Array], I32: ['int32', Int32Array], I64: ['int64', BigInt64Array] }

function tensors(path) {
  const file = fs.readFileSync(path)
  const n = Number(file.readBigUInt64LE(0))
  const header = JSON.parse(file.subarray(8, 8 + n).toString())
  const found = new Map()
  for (const [name, t] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const [kind, type] = KINDS[t.dtype]
    const bytes = new Uint8Array(file.subarray(8 + n + t.data_offsets[0], 8 + n + t.data_offsets[1]))
    found.set(name, { kind, dims: t.shape, data: new type(bytes.buffer) })
  }
  return found
}

async function run(model, values) {
  const session = await ort.InferenceSession.create(fs.readFileSync(model), { executionProviders: ['wasm'] })
  const known = tensors(values)
  const feeds = {}
  for (const name of session.inputNames) {
    const t = known.get(name)
    feeds[name] = new ort.Tensor(t.kind, t.data, t.dims)
  }
  const results = await session.run(feeds)
  let worst = 0
  for (const name of session.outputNames) {
    const want = known.get(name)
    const got = results[name]
    if (!want || got.data.length !== want.data.length || got.dims.join() !== want.dims.join())
      throw new Error(`output ${name} is ${got.dims}, expected ${want?.dims}`)
    for (let i = 0; i < want.data.length; i++) {
      const d = Math.abs(got.data[i] - want.data[i]) / (1 + Math.abs(want.data[i]))
      if (!(d <= worst)) worst = d
    }
  }
  await session.release()
  return worst
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const [model, values] = line.split(' ')
  try {
    console.log(JSON.stringify({ model, difference: await run(model, values) }))
  } catch (e) {
    console.log(JSON.stringify({ model, error: String(e.message ?? e) }))
  }
}
