#!/usr/bin/python3
"""How long a process takes from exec to its first training step: ours, and PyTorch's when it is there.

    benchmarks/start.py build/release/bin/trainyard-train [rounds]

The dataset is packed first (that is done once, when it arrives). Ours: until the first line of metrics after a step comes out of a pipe,
with the model and algorithm of docs/examples/mnist. PyTorch: the same network on one batch of noise, until the step is done.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TORCH = """
import torch, torch.nn as nn
torch.set_num_threads(2)
m = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                  nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))
o = torch.optim.Adam(m.parameters())
nn.functional.cross_entropy(m(torch.randn(64, 1, 28, 28)), torch.randint(10, (64,))).backward()
o.step()
"""


def first_step(train, data, dir):
    pipe = dir / "metrics"
    os.mkfifo(pipe)
    begin = time.monotonic()
    p = subprocess.Popen([train, "--model", ROOT / "docs/examples/mnist/model.json", "--algorithm", ROOT / "docs/examples/mnist/algorithm.json",
                          "--data", data, "--out", dir / "out", "--metrics", pipe, "--set", "/report_every_steps=1"],
                         stdout=subprocess.DEVNULL)
    with open(pipe) as f:
        for line in f:
            if json.loads(line)["kind"] == "train":
                took = time.monotonic() - begin
                break
        p.kill()
    p.wait()
    pipe.unlink()
    return took


def torch_step(_=None):
    begin = time.monotonic()
    subprocess.run(["/usr/bin/python3", "-c", TORCH], check=True)
    return time.monotonic() - begin


def say(name, times):
    print(f"{name:10} median {statistics.median(times) * 1000:.0f} ms, best {min(times) * 1000:.0f} ms of {len(times)}")


def main():
    train, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 11
    with tempfile.TemporaryDirectory() as d:
        dir = pathlib.Path(d)
        done = subprocess.run([train, "verify", "dataset", ROOT / "../shared/data/mnist", "--pack", dir / "pack"], stdout=subprocess.DEVNULL)
        if done.returncode:
            sys.exit("cannot pack ../shared/data/mnist")
        first_step(train, dir / "pack", dir)  # pages of program and data are in memory from here on
        say("trainyard", [first_step(train, dir / "pack", dir) for _ in range(rounds)])
    if subprocess.run(["/usr/bin/python3", "-c", "import torch"], stderr=subprocess.DEVNULL).returncode == 0:
        say("pytorch", [torch_step() for _ in range(rounds)])


main()
