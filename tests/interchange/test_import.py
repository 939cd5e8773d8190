"""Models that PyTorch exports, imported: exported again, they compute what PyTorch computes. And hostile files."""
import json
import os
import random
import struct
import subprocess
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from test_export import BUILD, TOLERANCE, run_all

TRAIN = BUILD / "bin/trainyard-train"
warnings.filterwarnings("ignore")


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.n = nn.BatchNorm2d(8)
        self.b = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.d = nn.Conv2d(3, 8, 1, stride=2)
        self.out = nn.Linear(8, 5)

    def forward(self, x):
        y = self.b(torch.relu(self.n(self.a(x)))) + self.d(x)
        return self.out(torch.relu(y).mean((2, 3)))


class Views(nn.Module):
    """Shapes computed from the batch, joined, cut and turned."""

    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(2, 4, 3)
        self.l = nn.Linear(2 * 16, 6)

    def forward(self, x):
        y = torch.cat([self.c(x), x[:, :, 1:-1, 1:-1]], 1)
        a, b = torch.split(y, 3, 1)
        y = (a * torch.sigmoid(b)).permute(0, 2, 3, 1)[:, :, :, :2]
        return self.l(y.reshape(x.size(0), -1))


class Norms(nn.Module):
    def __init__(self):
        super().__init__()
        self.l, self.n, self.m = nn.Linear(6, 12), nn.LayerNorm(12), nn.Linear(12, 6)

    def forward(self, x):
        return x + self.m(nn.functional.gelu(self.n(self.l(x))))


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(7, 9), nn.ReLU(), nn.Dropout(0.3), nn.Linear(9, 3), nn.Softmax(1)), (7,)),
    "lenet": (lambda: nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.LeakyReLU(0.2),
                                    nn.MaxPool2d(2, ceil_mode=True), nn.Flatten(), nn.Linear(400, 10)), (1, 28, 28)),
    "residual": (Residual, (3, 16, 16)),
    "views": (Views, (2, 6, 6)),
    "norms": (Norms, (5, 6)),
    "decoder": (lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), nn.ELU(), nn.Upsample(scale_factor=2),
                                      nn.ZeroPad2d((1, 2, 0, 1)), nn.Conv2d(6, 2, 2), nn.Hardswish(), nn.ReLU6()), (4, 5, 5)),
    "sequence": (lambda: nn.Sequential(nn.Conv1d(3, 8, 3, padding=1, stride=2), nn.SiLU(), nn.MaxPool1d(2), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
                                       nn.Linear(8, 2)), (3, 20)),
    "mobile": (lambda: nn.Sequential(nn.Conv2d(3, 6, 3, groups=3, dilation=2), nn.Hardsigmoid(), nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(6, 4)), (3, 9, 9)),
}


def export(model, shape, path, opset, dynamic):
    x = torch.rand(3, *shape)
    axes = {"x": {0: "batch"}, "y": {0: "batch"}} if dynamic else None
    torch.onnx.export(model, x, str(path), opset_version=opset, input_names=["x"], output_names=["y"], dynamic_axes=axes)
    with torch.no_grad():
        return x, model(x)


def write_tensors(path, tensors):
    header, data = {}, b""
    for name, t in tensors.items():
        raw = np.ascontiguousarray(t, dtype=np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def run_import(path, out):
    return subprocess.run([TRAIN, "import", path, "--out", out], text=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("opset,dynamic", [(11, False), (13, True), (17, True)])
def test_what_pytorch_exports_computes_the_same(tmp_path, opset, dynamic):
    pairs = []
    for name, (make, shape) in MODELS.items():
        if name == "norms" and opset < 17:
            continue
        torch.manual_seed(1)
        model = make()
        for m in model.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.uniform_(-1, 1)
                m.running_var.uniform_(0.5, 2)
        x, y = export(model.eval(), shape, tmp_path / f"{name}.onnx", opset, dynamic)
        done = run_import(tmp_path / f"{name}.onnx", tmp_path / name)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        out = json.loads((tmp_path / name / "model.json").read_text())["outputs"][0]
        back = tmp_path / f"{name}.back.onnx"
        done = subprocess.run([TRAIN, "export", tmp_path / name / "model.json", tmp_path / name / "weights.safetensors", back], text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        write_tensors(tmp_path / f"{name}.values", {"x": x.numpy(), out: y.numpy()})
        pairs.append((back, tmp_path / f"{name}.values"))
    results = run_all(pairs)
    assert len(results) == len(pairs)
    assert not [r for r in results if not r.get("difference", 1) < TOLERANCE], results


def test_verify_shows_the_graph_and_training_begins_with_the_weights(tmp_path):
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(4, 3))
    export(model, (4,), tmp_path / "m.onnx", 17, True)
    done = subprocess.run([TRAIN, "verify", "model", tmp_path / "m.onnx"], text=True, capture_output=True)
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["ok"] and answer["summary"]["parameters"] == 15
    rows = "".join(f"{a},{a * 2},{-a},{a % 3},{'xyz'[a % 3]}\n" for a in range(60))
    (tmp_path / "d.csv").write_text("a,b,c,d,kind\n" + rows)
    algorithm = {"format": "trainyard.algorithm/1", "name": "still", "loss": {"type": "softmax_cross_entropy"},
                 "optimizer": {"type": "sgd", "learning_rate": 1e-12}, "batch_size": 8, "epochs": 1}
    (tmp_path / "a.json").write_text(json.dumps(algorithm))
    done = subprocess.run([TRAIN, "--model", tmp_path / "m.onnx", "--algorithm", tmp_path / "a.json", "--data", tmp_path / "d.csv",
                           "--out", tmp_path / "out"], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    raw = (tmp_path / "out/weights.safetensors").read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + n])
    kernel = next(v for k, v in header.items() if k.endswith(".kernel"))
    got = np.frombuffer(raw[8 + n:], np.float32)[kernel["data_offsets"][0] // 4:kernel["data_offsets"][1] // 4].reshape(4, 3)
    assert np.allclose(got, model[0].weight.detach().numpy().T, atol=1e-6)


def node(op, inputs, outputs, **attributes):
    return onnx.helper.make_node(op, inputs, outputs, name=op.lower(), **attributes)


def save(path, nodes, constants=(), shape=("n", 4)):
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(nodes, "g", [value("x", 1, shape)], [value("y", 1, None)], list(constants))
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), str(path))
    return path


def refused(path, tmp_path, *words):
    done = run_import(path, tmp_path / "refused")
    assert done.returncode == 3, (done.returncode, done.stderr)
    for word in words:
        assert word in done.stderr, done.stderr


def test_what_is_unknown_is_named_with_its_node(tmp_path):
    nodes = [node("Relu", ["x"], ["a"]), node("Einsum", ["a"], ["b"], equation="ij->ji"), node("Tanh", ["b"], ["c"]), node("Det", ["x"], ["d"]),
             node("Add", ["c", "d"], ["y"])]
    refused(save(tmp_path / "u.onnx", nodes), tmp_path, 'node 1 (Einsum "einsum")', 'node 3 (Det "det")')


def test_hostile_graphs_are_refused(tmp_path):
    circle = [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]
    refused(save(tmp_path / "circle.onnx", circle), tmp_path, "circle")
    huge = onnx.TensorProto(name="w", data_type=1, dims=[1000000, 1000000], raw_data=b"abcd")
    refused(save(tmp_path / "huge.onnx", [node("MatMul", ["x", "w"], ["y"])], [huge]), tmp_path, "tensor w")
    wrap = onnx.TensorProto(name="w", data_type=1, dims=[1 << 62, 4], raw_data=b"")
    refused(save(tmp_path / "wrap.onnx", [node("MatMul", ["x", "w"], ["y"])], [wrap]), tmp_path, "no file can hold")
    shape = onnx.helper.make_tensor("s", 7, [2], [-1, 1 << 40])
    refused(save(tmp_path / "shape.onnx", [node("Reshape", ["x", "s"], ["y"])], [shape]), tmp_path, "reshape")


def test_broken_files_never_crash(tmp_path):
    make, shape = MODELS["views"]
    export(make().eval(), shape, tmp_path / "m.onnx", 13, True)
    whole = (tmp_path / "m.onnx").read_bytes()
    dice = random.Random(3)
    files = [whole[:n] for n in range(0, len(whole), max(1, len(whole) // 80))]
    for _ in range(120):
        data = bytearray(whole)
        for _ in range(dice.choice((1, 3, 20))):
            data[dice.randrange(len(data))] = dice.randrange(256)
        files.append(bytes(data))
    for i, data in enumerate(files):
        path = tmp_path / "broken.onnx"
        path.write_bytes(data)
        done = run_import(path, tmp_path / "broken")
        assert done.returncode in (0, 3), (i, done.returncode, done.stderr)
        assert done.returncode == 0 or "error" in done.stderr
