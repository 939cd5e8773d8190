#!/usr/bin/python3
"""torch_optimizer.py [--type adamw] [--threads N] [--count N] [--steps N]: one update of all weights by torch.optim, beside bench_optimizer.

The same weights, cut the same way, with foreach (one call over all weights) and without."""
import argparse
import statistics
import time
import warnings

import torch

p = argparse.ArgumentParser()
p.add_argument("--type")
p.add_argument("--threads", type=int, default=1)
p.add_argument("--count", type=int, default=10_000_000)
p.add_argument("--steps", type=int, default=30)
o = p.parse_args()
torch.set_num_threads(o.threads)
warnings.simplefilter("ignore")


def weights():
    out, left, matrix = [], o.count, True
    while left > 0:
        n = min(left, 512 * 512 if matrix else 512)
        out.append((torch.randn(512, 512) if n == 512 * 512 else torch.randn(n)).mul_(0.02).requires_grad_())
        left, matrix = left - n, not matrix
    for w in out:
        w.grad = torch.randn_like(w)
    return out


def median(optimizer):
    times = []
    for i in range(o.steps + 3):
        start = time.perf_counter()
        optimizer.step()
        if i >= 3:
            times.append((time.perf_counter() - start) * 1e3)
    return f"{statistics.median(times):.2f} ms ({min(times):.2f} to {max(times):.2f})"


for name, make, arguments in (("sgd", torch.optim.SGD, {"lr": 1e-4, "momentum": 0.9}), ("adam", torch.optim.Adam, {}),
                              ("adamw", torch.optim.AdamW, {}), ("rmsprop", torch.optim.RMSprop, {}), ("adagrad", torch.optim.Adagrad, {})):
    for foreach in (False, True) if o.type in (None, name) else ():
        print(f"{name:8} {o.count} weights, {o.threads} threads, foreach={foreach}: {median(make(weights(), foreach=foreach, **arguments))}")
print("torch", torch.__version__)
