#!/usr/bin/env python3
"""What a training step takes in PyTorch: the twins of bench_models.c, in both memory layouts, the faster one counts.

    torch_step.py MODEL [--threads N] [--steps N] [--cpu-time]

Prints "MODEL THREADS MILLISECONDS LAYOUT" for each layout, medians after three steps that are not counted. Debian's python3-torch with
libopenblas0-openmp; OPENBLAS_CORETYPE unset.
"""
import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """He et al., arXiv:1512.03385; a 1x1 convolution on the shortcut where the size changes."""

    def __init__(self, before, filters, stride):
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(before, filters, 3, stride, 1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(inplace=True))
        self.b = nn.Sequential(nn.Conv2d(filters, filters, 3, 1, 1, bias=False), nn.BatchNorm2d(filters))
        self.shortcut = nn.Identity()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(before, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x):
        return F.relu(self.b(self.a(x)) + self.shortcut(x), inplace=True)


def resnet20():
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    before = 16
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        for block in range(3):
            layers.append(Block(before, filters, stride if block == 0 else 1))
            before = filters
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    return net, (3, 32, 32), torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)


def cnn():
    net = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10))
    return net, (1, 28, 28), torch.optim.Adam(net.parameters(), 1e-3)


def mlp():
    net = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    return net, (784,), torch.optim.SGD(net.parameters(), 0.01)


class Attention(nn.Module):
    """nanoGPT's: one product for queries, keys and values; PyTorch 1.13 has no fused attention on a CPU."""

    def __init__(self, width, heads, length):
        super().__init__()
        self.heads = heads
        self.inner = nn.Linear(width, 3 * width)
        self.outer = nn.Linear(width, width)
        self.register_buffer("hidden", torch.ones(length, length).triu(1).bool())

    def forward(self, x):
        n, t, c = x.shape
        q, k, v = (a.view(n, t, self.heads, c // self.heads).transpose(1, 2) for a in self.inner(x).split(c, 2))
        scores = (q @ k.transpose(-2, -1) * (c // self.heads) ** -0.5).masked_fill(self.hidden, float("-inf"))
        return self.outer((F.softmax(scores, -1) @ v).transpose(1, 2).reshape(n, t, c))


class Transformer(nn.Module):
    def __init__(self, width, heads, length):
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), Attention(width, heads, length))
        self.wide = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attention(x)
        return x + self.wide(x)


class Positions(nn.Module):
    def __init__(self, length, width):
        super().__init__()
        self.table = nn.Parameter(torch.randn(length, width) * 0.02)

    def forward(self, x):
        return x + self.table


def gpt():
    blocks = [Transformer(128, 4, 64) for _ in range(4)]
    net = nn.Sequential(nn.Embedding(65, 128), Positions(64, 128), *blocks, nn.LayerNorm(128), nn.Linear(128, 65, bias=False))
    return net, (64,), torch.optim.AdamW(net.parameters(), 1e-3, (0.9, 0.99), weight_decay=0.1)


MODELS = {"mlp": mlp, "cnn": cnn, "resnet20": resnet20, "gpt": gpt}


def data(name, shape):
    if name == "gpt":
        return torch.arange(12 * 64).view(12, 64) * 31 % 65, torch.arange(12 * 64) % 65
    return torch.randn(128, *shape), torch.arange(128) % 10


def measure(name, layout, steps, clock):
    torch.manual_seed(1)
    net, shape, optimizer = MODELS[name]()
    x, y = data(name, shape)
    if layout is torch.channels_last:
        net, x = net.to(memory_format=layout), x.contiguous(memory_format=layout)
    times = []
    for _ in range(steps + 3):
        start = clock()
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(net(x).view(len(y), -1), y).backward()
        optimizer.step()
        times.append(clock() - start)
    return statistics.median(times[3:]) * 1e3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cpu-time", action="store_true", help="processor time instead of wall time: for one thread on a busy machine")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    for layout in [torch.contiguous_format] + ([torch.channels_last] if a.model in ("cnn", "resnet20") else []):
        took = measure(a.model, layout, a.steps, time.process_time if a.cpu_time else time.perf_counter)
        print(a.model, a.threads, f"{took:.2f}", str(layout).removeprefix("torch."), flush=True)


if __name__ == "__main__":
    main()
