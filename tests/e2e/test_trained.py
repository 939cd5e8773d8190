"""A trained model put to use: evaluate, predict, generate."""
import csv
import io
import json
import math
import subprocess

import pytest

from conftest import PATIENCE, SHARED
from test_trainer import TRAIN, algorithm, bench, environment, mlp, pack, write  # noqa: F401 (fixtures)


def use(command, *argv, code=0):
    p = subprocess.run([TRAIN, command, *map(str, argv)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
                       timeout=120 * PATIENCE)
    assert p.returncode == code, p.stdout + p.stderr
    return p.stdout if code == 0 else p.stderr


def test_evaluate_says_what_the_training_said(bench):
    b = bench(algo=algorithm(epochs=1, metrics=["accuracy", "f1"]))
    first = b.run("out")
    said = json.loads(use("evaluate", "--run", first.out, "--data", b.data))
    assert said["values"] == pytest.approx(first.report["values"], rel=1e-4)
    assert said["confusion_matrix"] == first.report["confusion_matrix"]
    train = json.loads(use("evaluate", "--run", first.out, "--data", b.data, "--split", "train", "--batch", 7))
    assert train["targets"] == first.report["samples"] and train["confusion_matrix"]["of"] == "train"


def test_predictions_add_up_to_the_confusion_matrix(bench, tmp_path):
    b = bench(algo=algorithm(epochs=1))
    first = b.run("out")
    lines = [json.loads(l) for l in use("predict", "--run", first.out, "--data", b.data).splitlines()]
    matrix = first.report["confusion_matrix"]
    count = [[0] * 10 for _ in range(10)]
    for i, l in enumerate(lines):
        assert l["index"] == i and sum(l["probabilities"]) == pytest.approx(1, abs=1e-5)
        assert l["prediction"] == matrix["labels"][max(range(10), key=lambda k: l["probabilities"][k])]
        count[matrix["labels"].index(l["truth"])][matrix["labels"].index(l["prediction"])] += 1
    assert count == matrix["rows"]
    loss = -sum(math.log(l["probabilities"][matrix["labels"].index(l["truth"])]) for l in lines) / len(lines)
    assert loss == pytest.approx(first.report["values"]["loss"], rel=1e-3)
    use("predict", "--run", first.out, "--data", b.data, "--format", "csv", "--out", tmp_path / "p.csv")
    rows = list(csv.DictReader(open(tmp_path / "p.csv")))
    assert [r["prediction"] for r in rows] == [l["prediction"] for l in lines]


def table(path, rows, slope, offset):
    """y = 2 a - b; the columns' mean and spread differ from file to file."""
    lines = ["a,b,y"] + [f"{a},{b},{2 * a - b}" for a, b in ((offset + slope * (i % 17), (i * 7) % 23) for i in range(rows))]
    return write(path, "\n".join(lines) + "\n")


def test_another_table_is_standardised_as_the_one_trained_on(bench, tmp_path):
    b = bench(model=mlp(2, 16, 1, dtype="float32"), data=table(tmp_path / "train.csv", 400, 1, 0),
              algo=algorithm(loss={"type": "mean_squared_error"}, metrics=["r2"], epochs=60, optimizer={"type": "adam", "learning_rate": 0.01}))
    first = b.run("out")
    assert first.report["values"]["r2"] > 0.98
    narrow = table(tmp_path / "other.csv", 400, 0.25, 6)
    said = json.loads(use("evaluate", "--run", first.out, "--data", narrow))
    assert said["values"]["r2"] > 0.95, "standardised by its own statistics it would be far off"
    rows = list(csv.DictReader(io.StringIO(use("predict", "--run", first.out, "--data", narrow, "--format", "csv"))))
    assert all(abs(float(r["truth0"]) - float(r["prediction0"])) < 8 for r in rows)


def test_what_is_missing_or_wrong_is_said(bench):
    b = bench(algo=algorithm(epochs=1))
    first = b.run("out")
    assert "--run" in use("evaluate", "--data", b.data, code=2)
    assert "did you mean --split" in use("evaluate", "--splt", "test", code=2)
    assert "weights.safetensors" in use("evaluate", "--run", b.dir, "--data", b.data, "--model", b.model, "--algorithm", b.algorithm, code=1)
    other = write(b.dir / "other.json", json.dumps(mlp(0, 8, 10, shape=[1, 28, 28])).replace('"logits"', '"head"'))
    assert "which the model has" in use("evaluate", "--run", first.out, "--data", b.data, "--model", other, code=1)
    wide = write(b.dir / "wide.json", mlp(0, 8, 11, shape=[1, 28, 28]))
    assert "10 classes" in use("evaluate", "--run", first.out, "--data", b.data, "--model", wide, code=3)
