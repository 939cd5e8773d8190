#!/usr/bin/python3
"""tables.py DATA [--splits N] [--train PROGRAM]: iris, white wine quality and housing, from nothing but the CSV, a model and an algorithm file, beside
scikit-learn's MLP (defaults but 1,000 iterations, inputs standardised) on as many splits: a fifth of the rows, drawn by seed, is the test part. Each
program draws its own splits, so compare means with their standard errors, not split by split. DATA holds the three CSV files."""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

p = argparse.ArgumentParser()
p.add_argument("data", type=pathlib.Path)
p.add_argument("--splits", type=int, default=10)
p.add_argument("--train", default=str(pathlib.Path(__file__).parent.parent / "build/release/bin/trainyard-train"))
p.add_argument("--only")
o = p.parse_args()
warnings.simplefilter("ignore", ConvergenceWarning)

# file, columns, classes (0: a value), epochs, weight decay
TABLES = [("iris", 4, 3, 60, 0.01), ("housing", 13, 0, 200, 0.05), ("winequality-white", 11, 0, 60, 0.05)]


def model(columns, outputs):
    layers = []
    for i in (1, 2):
        layers += [{"name": f"hidden{i}", "type": "dense", "config": {"units": 64}}, {"name": f"act{i}", "type": "relu"}]
    layers[0]["inputs"] = ["columns"]
    return {"format": "trainyard.model/1", "name": "table", "inputs": [{"name": "columns", "shape": [columns]}],
            "layers": [*layers, {"name": "out", "type": "dense", "config": {"units": outputs}}], "outputs": ["out"]}


def algorithm(classes, epochs, decay):
    return {"format": "trainyard.algorithm/1", "name": "table", "loss": {"type": "softmax_cross_entropy" if classes else "mean_squared_error"},
            "optimizer": {"type": "adamw", "learning_rate": 0.005, "weight_decay": decay}, "schedule": {"type": "cosine", "warmup_steps": 20},
            "batch_size": 32, "epochs": epochs, "weight_average": {"decay": 0.99}, "metrics": ["accuracy" if classes else "r2"]}


def ours(csv, columns, classes, epochs, decay, seed):
    with tempfile.TemporaryDirectory() as name:
        d = pathlib.Path(name)
        options = {"test_fraction": 0.2, "seed": seed, "task_type": "classification" if classes else "regression"}
        subprocess.run([o.train, "verify", "dataset", csv, "--pack", d / "pack", "--options", json.dumps(options)], check=True, stdout=subprocess.DEVNULL)
        (d / "m.json").write_text(json.dumps(model(columns, classes or 1)))
        (d / "a.json").write_text(json.dumps({**algorithm(classes, epochs, decay), "seed": seed}))
        subprocess.run([o.train, "--model", d / "m.json", "--algorithm", d / "a.json", "--data", d / "pack", "--out", d / "out", "--threads", "1"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return json.loads((d / "out/report.json").read_text())["values"]["accuracy" if classes else "r2"]


def theirs(csv, classes, seed):
    rows = np.genfromtxt(csv, delimiter=",", dtype=str)
    x, y = rows[:, :-1].astype(float), rows[:, -1] if classes else rows[:, -1].astype(float)
    a, b, c, d = train_test_split(x, y, test_size=0.2, random_state=seed)
    mlp = (MLPClassifier if classes else MLPRegressor)(random_state=seed, max_iter=1000)
    return make_pipeline(StandardScaler(), mlp).fit(a, c).score(b, d)


def show(values):
    return f"{statistics.mean(values):.4f} +- {statistics.stdev(values) / len(values) ** 0.5:.4f}"


for name, columns, classes, epochs, decay in TABLES:
    if o.only in (None, name):
        csv, seeds = o.data / f"{name}.csv", range(1, o.splits + 1)
        print(f"{name}: {'accuracy' if classes else 'R2'} ours {show([ours(csv, columns, classes, epochs, decay, s) for s in seeds])}, "
              f"scikit-learn {show([theirs(csv, classes, s) for s in seeds])} ({o.splits} splits)", flush=True)
