"""The published JSON Schemas say what the trainer does: good files pass both, planted mistakes fail both."""
import copy
import json
import os
import pathlib
import subprocess

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
EXAMPLES, SCHEMAS = ROOT / "docs" / "examples", ROOT / "docs" / "schemas"
TRAIN = pathlib.Path(os.environ["TRAINYARD_BUILD"]) / "bin" / "trainyard-train"

KIND = {"trainyard.model/1": "model", "trainyard.algorithm/1": "algorithm", "trainyard.layer/1": "layer"}
FILES = sorted(EXAMPLES.glob("*/*.json"))


def schema(kind):
    s = json.loads((SCHEMAS / f"{kind}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(s)
    return jsonschema.Draft202012Validator(s)


def trainer_takes(kind, content, tmp_path):
    path = tmp_path / "file.json"
    path.write_text(json.dumps(content))
    layers = [a for f in FILES if json.loads(f.read_text())["format"] == "trainyard.layer/1" and kind == "model" for a in ("--layer", f)]
    done = subprocess.run([TRAIN, "verify", kind, path, *layers], stdout=subprocess.PIPE, timeout=60)
    assert done.returncode in (0, 3), done
    return json.loads(done.stdout)["ok"]


def at(value, pointer):
    for token in pointer:
        value = value[token]
    return value


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_examples_pass_both(path, tmp_path):
    content = json.loads(path.read_text())
    kind = KIND[content["format"]]
    assert [e.message for e in schema(kind).iter_errors(content)] == []
    assert trainer_takes(kind, content, tmp_path)


MISTAKES = [
    ("mnist/model.json", ("layers", 1, "config"), "filters", 0),
    ("mnist/model.json", ("layers", 1, "config"), "kernel", [3, 3, 3]),
    ("mnist/model.json", ("layers", 1, "config"), "padding", "full"),
    ("mnist/model.json", ("layers", 1, "config"), "strid", 1),
    ("mnist/model.json", ("layers", 6, "config"), "rate", 1),
    ("mnist/model.json", ("layers", 1), "inputs", ["scale", "scale"]),
    ("mnist/model.json", ("layers", 1), "weights", []),
    ("mnist/model.json", ("inputs", 0), "shape", [0]),
    ("mnist/model.json", ("inputs", 0), "dtype", "float16"),
    ("mnist/model.json", (), "outputs", []),
    ("mnist/algorithm.json", (), "epochs", 0),
    ("mnist/algorithm.json", (), "batchsize", 1),
    ("mnist/algorithm.json", ("optimizer",), "learning_rate", 0),
    ("mnist/algorithm.json", ("optimizer",), "momentum", 0.9),
    ("mnist/algorithm.json", ("optimizer",), "beta1", 1),
    ("mnist/algorithm.json", ("schedule",), "type", "linear"),
    ("mnist/algorithm.json", ("checkpoint",), "keep", 0),
    ("mnist/algorithm.json", (), "precision", "int4"),
    ("digits/conv_block.json", ("parameters", 0), "type", "int"),
    ("digits/conv_block.json", ("composite",), "outputs", ["relu", "pool"]),
    ("digits/conv_block.json", ("composite", "layers", 0, "config"), "filter", "=filters"),
    ("digits/conv_block.json", (), "composite", None),
]


@pytest.mark.parametrize("name,pointer,key,value", MISTAKES, ids=lambda v: str(v)[:24])
def test_mistakes_fail_both(name, pointer, key, value, tmp_path):
    content = copy.deepcopy(json.loads((EXAMPLES / name).read_text()))
    at(content, pointer)[key] = value
    kind = KIND[content["format"]]
    assert list(schema(kind).iter_errors(content)), "the schema takes it"
    assert not trainer_takes(kind, content, tmp_path), "the trainer takes it"
