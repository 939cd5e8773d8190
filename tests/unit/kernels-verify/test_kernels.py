"""Layers written as programs, each with one planted mistake: the answer names the place and nothing else happens."""
import copy
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
LAYERS = ROOT / "docs" / "examples" / "layers"
TRAIN = pathlib.Path(os.environ["TRAINYARD_BUILD"]) / "bin" / "trainyard-train"


def verify(layer, tmp_path, env=None):
    path = tmp_path / "layer.json"
    text = layer if isinstance(layer, str) else json.dumps(layer, indent=1)
    path.write_text(text)
    done = subprocess.run([TRAIN, "verify", "layer", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, cwd=tmp_path,
                          env={**os.environ, **(env or {})})
    assert done.returncode in (0, 3), done
    return json.loads(done.stdout), text.splitlines()


def example(name):
    return json.loads((LAYERS / f"{name}.json").read_text())


@pytest.mark.parametrize("path", sorted(LAYERS.glob("*.json")), ids=lambda p: p.stem)
def test_examples_are_proven(path, tmp_path):
    answer, _ = verify(path.read_text(), tmp_path)
    assert answer["ok"], answer["checks"]
    names = [c["name"] for c in answer["checks"]]
    assert {"layer.run", "layer.writes", "layer.finite", "layer.gradient", "layer.compiled"} <= set(names)


@pytest.mark.parametrize("path", sorted(LAYERS.glob("*.json")), ids=lambda p: p.stem)
def test_without_a_compiler_libtcc_does(path, tmp_path):
    answer, _ = verify(path.read_text(), tmp_path, env={"PATH": str(tmp_path)})
    assert answer["ok"], answer["checks"]
    compiled = next(c for c in answer["checks"] if c["name"] == "layer.compiled")
    assert "tcc" in compiled["message"] or compiled["status"] == "warned", compiled


# layer, which program, line to change (from 0), its new text, the check that must fail, words of its message
MISTAKES = [
    ("bilinear", "backward", 4, "        dw[o][k][i] += dy[o] * a[i] * b[k];", "layer.run", "outside"),  # transposed weight
    ("bilinear", "backward", 2, "        da[i] += dy[o] * w[o][i][k];", "layer.gradient", "finite differences"),  # missing factor
    ("bilinear", "backward", 2, "        da[i] += 2 * dy[o] * w[o][i][k] * b[k];", "layer.gradient", "finite differences"),
    ("bilinear", "backward", 4, "        dw[o][i][k] = dy[o] * a[i] * b[k] * 0;", "layer.gradient", "finite differences"),
    ("bilinear", "backward", 2, "        da[i] = dy[o] * w[o][i][k] * b[k];", "layer.writes", "two points"),
    ("bilinear", "forward", 1, "for (int i = 0; i <= N; i++)", "layer.run", "index 4 of \"a\" is outside 0..3"),
    ("blur_pool", "forward", 3, "        int h = 2 * i + a;", "layer.run", "outside"),  # off by one at the border
    ("blur_pool", "forward", 8, "if (i > 0) y[c][i][j] = sum / 16;", "layer.writes", "never written"),
    ("blur_pool", "forward", 1, "for (int a = -1; a <= 1000000000; a++) {", "layer.run", "far too long"),
    ("prelu", "forward", 1, "y[c][i][j] = log(v);", "layer.finite", "for inputs from -2 to 2"),
    ("prelu", "forward", 1, "y[c][i][j] = v > 0 ? v : slop[c] * v;", "layer.kernel", "nothing named \"slop\""),
    ("prelu", "forward", 1, "y[c][i][j] = v > 0 ? v : slope[c] * v", "layer.kernel", "expected \";\""),
    ("prelu", "forward", 0, "float v = x[c][j];", "layer.kernel", "3 dimensions"),
    ("prelu", "forward", 0, "float v = fopen(1);", "layer.kernel", "no function \"fopen\""),
    ("prelu", "forward", 0, "while (1) { }", "layer.kernel", "not part of the language"),
    ("prelu", "forward", 0, "float v = x[c][i][j]; v = exp(v * 60) - exp(v * 60) * (1 + 1e-9);", "layer.compiled", "float32"),
]


@pytest.mark.parametrize("name,program,line,text,check,says", MISTAKES, ids=lambda v: str(v)[:40])
def test_a_planted_mistake_is_named(name, program, line, text, check, says, tmp_path):
    layer = copy.deepcopy(example(name))
    layer["kernel"][program][line] = text
    answer, lines = verify(layer, tmp_path)
    assert not answer["ok"]
    failed = [c for c in answer["checks"] if c["status"] == "failed"]
    assert failed[0]["name"] == check, failed
    assert says in failed[0]["message"], failed
    at = failed[0]
    if check == "layer.run":
        assert at["pointer"].startswith(f"/kernel/{program}/") and at["line"] > 1
    elif check == "layer.kernel" and "expected" not in says:
        assert json.dumps(text)[1:-1] in lines[at["line"] - 1]


def test_the_column_is_that_of_the_mistake_in_the_file(tmp_path):
    layer = example("prelu")
    layer["kernel"]["forward"][1] = 'y[c][i][j] = v > 0 ? v : slop[c] * v;'
    answer, lines = verify(layer, tmp_path)
    (c,) = [c for c in answer["checks"] if c["status"] == "failed"]
    assert lines[c["line"] - 1][c["column"] - 1:].startswith("slop[c]")
    assert c["pointer"] == "/kernel/forward/1"


@pytest.mark.parametrize("change,says", [
    (lambda k: k["inputs"][0].update(shape=["C", 0]), "a dimension is"),
    (lambda k: k["output"].update(shape=["Q"]), "no input has a dimension named"),
    (lambda k: k["weights"][0].update(initializer="one"), "no initializer"),
    (lambda k: k["weights"][0].update(name="x"), "second thing named"),
    (lambda k: k.update(over=["c", "i", "j", "k"]), "at most that many"),
    (lambda k: k.update(backward_over=["z"]), "backward_over"),
    (lambda k: k.update(forward=7), "is a program"),
    (lambda k: k.update(forwards=[]), "forwards"),
    (lambda k: k.update({"try": [{"C": 4}]}), "the size of"),
    (lambda k: k.pop("output"), "output"),
])
def test_a_badly_formed_kernel_is_refused(change, says, tmp_path):
    layer = example("prelu")
    change(layer["kernel"])
    answer, _ = verify(layer, tmp_path)
    failed = [c for c in answer["checks"] if c["status"] == "failed"]
    assert failed and any(says in c["message"] for c in failed), failed


def test_a_kernel_and_a_composite_are_one_too_many(tmp_path):
    layer = example("prelu")
    layer["composite"] = {"inputs": ["x"], "layers": [{"name": "r", "type": "relu", "inputs": ["x"]}], "outputs": ["r"]}
    answer, _ = verify(layer, tmp_path)
    assert not answer["ok"]


def test_a_model_of_own_layers_computes_as_the_interpreter_does(tmp_path):
    """Two steps on the compiled programs and on the checked interpreter end with the same loss."""
    model = {"format": "trainyard.model/1", "name": "own", "inputs": [{"name": "image", "shape": [1, 28, 28], "dtype": "uint8"}], "layers": [
        {"name": "scale", "type": "rescale", "config": {"scale": 0.00392156862745098}}, {"name": "act", "type": "prelu"}, {"name": "d1", "type": "blur_pool"},
        {"name": "d2", "type": "blur_pool"}, {"name": "flat", "type": "flatten"}, {"name": "a", "type": "dense", "inputs": ["flat"], "config": {"units": 6}},
        {"name": "b", "type": "dense", "inputs": ["flat"], "config": {"units": 5}}, {"name": "bi", "type": "bilinear", "inputs": ["a", "b"], "config": {"units": 10}}],
        "outputs": ["bi"]}
    (tmp_path / "model.json").write_text(json.dumps(model))
    run = lambda *a: subprocess.run([TRAIN, *map(str, a)], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, cwd=tmp_path)
    run("make-digits", "--out", tmp_path / "d", "--train", 64, "--test", 16)
    subprocess.run(["tar", "cf", tmp_path / "d.tar", "-C", tmp_path / "d", "."], check=True)
    run("verify", "dataset", "--pack", tmp_path / "d.pack", tmp_path / "d.tar")
    reports = []
    for backend in ("cpu", "reference"):
        layers = [a for n in ("prelu", "blur_pool", "bilinear") for a in ("--layer", LAYERS / f"{n}.json")]
        run("--model", tmp_path / "model.json", "--algorithm", ROOT / "docs/examples/digits/algorithm.json", "--data", tmp_path / "d.pack", "--out", tmp_path / backend,
            "--backend", backend, "--set", "/batch_size=16", "--set", "/epochs=1", *layers)
        reports.append(json.loads((tmp_path / backend / "report.json").read_text()))
    assert reports[0]["values"]["loss"] == pytest.approx(reports[1]["values"]["loss"], rel=1e-4)
