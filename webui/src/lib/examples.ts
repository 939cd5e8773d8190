/* Files to start from. Small, complete, and right for 28x28 grey digits in ten classes. */
import type { AssetKinds } from '../api/types'

export interface Example {
  name: string
  title: string
  content: object
}

const model = (name: string, layers: object[]) => ({
  format: 'trainyard.model/1',
  name,
  inputs: [{ name: 'image', shape: [1, 28, 28], dtype: 'uint8' }],
  layers: [{ name: 'scale', type: 'rescale', inputs: ['image'], config: { scale: 0.00392156862745098 } }, ...layers],
  outputs: ['logits'],
})

const algorithm = (name: string, optimizer: object, rest: object) => ({
  format: 'trainyard.algorithm/1',
  name,
  loss: { type: 'softmax_cross_entropy' },
  optimizer,
  ...rest,
  metrics: ['accuracy'],
  seed: 1,
})

export const examples: Record<AssetKinds, readonly Example[]> = {
  datasets: [],
  models: [
    {
      name: 'cnn',
      title: 'Convolutional network',
      content: model('cnn', [
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
      ]),
    },
    {
      name: 'mlp',
      title: 'Two dense layers',
      content: model('mlp', [
        { name: 'flat', type: 'flatten', inputs: ['scale'] },
        { name: 'hidden', type: 'dense', inputs: ['flat'], config: { units: 128 } },
        { name: 'relu', type: 'relu', inputs: ['hidden'] },
        { name: 'logits', type: 'dense', inputs: ['relu'], config: { units: 10 } },
      ]),
    },
  ],
  algorithms: [
    {
      name: 'adam',
      title: 'Adam, constant rate',
      content: algorithm('adam', { type: 'adam', learning_rate: 0.001 }, { batch_size: 64, epochs: 3 }),
    },
    {
      name: 'adamw-cosine',
      title: 'AdamW, cosine schedule',
      content: algorithm(
        'adamw-cosine',
        { type: 'adamw', learning_rate: 0.001, weight_decay: 0.01 },
        { schedule: { type: 'cosine', warmup_steps: 100 }, batch_size: 128, epochs: 5 },
      ),
    },
    {
      name: 'sgd',
      title: 'SGD with momentum',
      content: algorithm('sgd', { type: 'sgd', learning_rate: 0.05, momentum: 0.9 }, { batch_size: 64, epochs: 3 }),
    },
  ],
  layers: [
    {
      name: 'conv-block',
      title: 'Convolution, batch norm, relu',
      content: {
        format: 'trainyard.layer/1',
        name: 'conv_block',
        description: 'Convolution, batch norm, relu',
        parameters: [
          { name: 'filters', type: 'integer', default: 32, min: 1, max: 1024, help: 'output channels' },
          { name: 'padding', type: 'choice', choices: ['valid', 'same'], default: 'same' },
        ],
        composite: {
          inputs: [{ name: 'x', shape: [3, 32, 32] }],
          layers: [
            {
              name: 'conv',
              type: 'conv2d',
              inputs: ['x'],
              config: { filters: '=filters', kernel: 3, padding: '=padding' },
            },
            { name: 'norm', type: 'batch_norm', inputs: ['conv'] },
            { name: 'relu', type: 'relu', inputs: ['norm'] },
          ],
          outputs: ['relu'],
        },
      },
    },
  ],
}

/** JSON as a person would write it: objects that fit stay on their line. */
export function pretty(value: unknown, indent = '', width = 120): string {
  const flat = JSON.stringify(value)
  if (typeof value !== 'object' || value === null) return flat
  const spaced = flat.replace(/("(?:[^"\\]|\\.)*")|([,:])/g, (_, s: string | undefined, p: string) => s ?? `${p} `)
  if (indent !== '' && spaced.length + indent.length <= width) return spaced
  const inner = `${indent}  `
  if (Array.isArray(value))
    return value.length === 0 ? '[]' : `[\n${value.map((v) => inner + pretty(v, inner, width)).join(',\n')}\n${indent}]`
  const rows = Object.entries(value).map(([k, v]) => `${inner}${JSON.stringify(k)}: ${pretty(v, inner, width)}`)
  return rows.length === 0 ? '{}' : `{\n${rows.join(',\n')}\n${indent}}`
}
