"""What Trainyard exports as ONNX, checked by onnx's own checker and run by onnxruntime."""
import json
import os
import subprocess
from pathlib import Path

import onnx

BUILD = Path(os.environ["TRAINYARD_BUILD"])
PACKAGES = Path(os.environ["TRAINYARD_PACKAGES"])
TOLERANCE = 1e-4
REFUSED = {"embedding", "gru", "lstm", "multi_head_attention", "position_embedding", "rms_norm", "swiglu"}


def run_all(pairs):
    """Largest difference of each (model, values) pair under onnxruntime."""
    lines = "".join(f"{model} {values}\n" for model, values in pairs)
    done = subprocess.run([os.environ["TRAINYARD_NODE"], PACKAGES / "run_onnx.mjs"], input=lines, text=True, capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_every_layer_type_computes_the_same_in_onnxruntime(tmp_path):
    made = subprocess.run([BUILD / "tests/export_cases", tmp_path], text=True, capture_output=True)
    assert made.returncode == 0, made.stderr
    cases = [line.split() for line in made.stdout.splitlines()]
    refused = {kind for base, kind in cases if base == "refused"}
    assert refused <= REFUSED, "a layer type without an exporter is listed in REFUSED"
    cases = [case for case in cases if case[0] != "refused"]
    assert len(cases) > 50
    for base, kind in cases:
        model = onnx.load(base + ".onnx")
        onnx.checker.check_model(model, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        assert inferred.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch", kind
    results = run_all([(base + ".onnx", base + ".safetensors") for base, _ in cases])
    assert len(results) == len(cases)
    wrong = [f"{kind} {r}" for (_, kind), r in zip(cases, results) if not r.get("difference", 1) < TOLERANCE]
    assert not wrong, "\n".join(wrong)
