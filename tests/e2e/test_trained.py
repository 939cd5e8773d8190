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


def bigram(vocabulary, window):
    return {"format": "trainyard.model/1", "name": "bigram", "inputs": [{"name": "tokens", "shape": [window], "dtype": "int32"}],
            "layers": [{"name": "embed", "type": "embedding", "inputs": ["tokens"], "config": {"num_embeddings": vocabulary, "embedding_dim": 16}},
                       {"name": "logits", "type": "dense", "inputs": ["embed"], "config": {"units": vocabulary}}],
            "outputs": ["logits"]}


@pytest.fixture
def alphabet(bench, tmp_path):
    """A model that has learned that b follows a, c follows b, ... and a follows h."""
    data = write(tmp_path / "text.txt", "abcdefgh" * 600)
    b = bench(model=bigram(8, 12), data=data,
              algo=algorithm(batch_size=16, epochs=8, metrics=["accuracy", "perplexity"], optimizer={"type": "adam", "learning_rate": 0.03}))
    return b, b.run("out")


def test_a_loss_over_positions_is_their_mean(alphabet):
    b, run = alphabet
    assert run.values("train", "loss")[0] == pytest.approx(math.log(8), rel=0.3), "a mean over positions begins at log(vocabulary)"
    assert run.report["values"]["accuracy"] == 1 and run.report["values"]["perplexity"] < 1.2
    ranks = b.run("three", ranks=3)
    assert ranks.values("train", "loss")[0] == pytest.approx(run.values("train", "loss")[0], rel=1e-5)
    lines = [json.loads(l) for l in use("predict", "--run", run.out, "--data", b.data).splitlines()]
    assert all(len(l["positions"]) == 12 and all(t == p for t, p, _ in l["positions"]) for l in lines)


def test_a_text_goes_on(alphabet):
    b, run = alphabet
    said = use("generate", "--run", run.out, "--data", b.data, "--prompt", "fgh", "--tokens", 21, "--temperature", 0)
    assert said == "fgh" + "abcdefgh" * 2 + "abcde" + "\n"
    hot = [use("generate", "--run", run.out, "--data", b.data, "--tokens", 200, "--temperature", 5, "--seed", s) for s in (1, 1, 2)]
    assert hot[0] == hot[1] != hot[2]
    cool = use("generate", "--run", run.out, "--data", b.data, "--tokens", 40, "--temperature", 5, "--top-k", 1, "--prompt", "a")
    assert cool == ("abcdefgh" * 6)[:41] + "\n"
    assert "not in the vocabulary" in use("generate", "--run", run.out, "--data", b.data, "--prompt", "xyz", code=1)
