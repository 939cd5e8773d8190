"""Optimizers and schedules over 20 and more steps against PyTorch, metrics against scikit-learn. Skips, visibly, where they are not installed.

The C side is optim_oracle, which reads the same algorithm files as the trainer."""
import json
import math
import os
import subprocess
import warnings

import pytest

np = pytest.importorskip("numpy", reason="python3-numpy is not installed")
ORACLE = os.environ["OPTIM_ORACLE"]


def oracle(tmp_path, mode, args, loss=None, optimizer=None, schedule=None, text="", **members):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"format": "trainyard.algorithm/1", "name": "a", "batch_size": 1, "epochs": 1,
                                "loss": loss or {"type": "softmax_cross_entropy"}, "optimizer": optimizer or {"type": "sgd"},
                                **({"schedule": schedule} if schedule else {}), **members}))
    return subprocess.run([ORACLE, mode, str(path), *map(str, args)], input=text, text=True, check=True, capture_output=True,
                          timeout=60).stdout


# ---- optimizers ----

STEPS, SHAPES = 20, [(6, 8), (12, 5), (20,)]


def torch_weights(make):
    import torch
    w = [p.clone().requires_grad_() for p in torch.cos(torch.arange(128, dtype=torch.float64)).float().split([48, 60, 20])]
    index = torch.arange(128).split([48, 60, 20])
    opt = make(w)
    rows = []
    for s in range(1, STEPS + 1):
        for p, i in zip(w, index):
            p.grad = (p.detach().double() * (1 + i % 7) / 7 + torch.sin((i + s).double())).float()
        opt.step()
        rows.append(torch.cat([p.detach() for p in w]).numpy().copy())
    return np.array(rows)


CASES = [
    ("sgd", {}, "SGD", {}),
    ("sgd", {"momentum": 0.9, "weight_decay": 0.05}, "SGD", {"momentum": 0.9, "weight_decay": 0.05}),
    ("sgd", {"momentum": 0.9, "nesterov": True}, "SGD", {"momentum": 0.9, "nesterov": True}),
    ("adam", {"weight_decay": 0.1}, "Adam", {"weight_decay": 0.1}),
    ("adam", {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6}, "Adam", {"betas": (0.8, 0.95), "eps": 1e-6}),
    ("adamw", {"weight_decay": 0.1}, "AdamW", {"weight_decay": 0.1}),
    ("rmsprop", {}, "RMSprop", {}),
    ("rmsprop", {"momentum": 0.9, "weight_decay": 0.01}, "RMSprop", {"momentum": 0.9, "weight_decay": 0.01}),
    ("rmsprop", {"momentum": 0.5, "centered": True}, "RMSprop", {"momentum": 0.5, "centered": True}),
    ("rmsprop", {"centered": True, "alpha": 0.9}, "RMSprop", {"centered": True, "alpha": 0.9}),
    ("adagrad", {"rate_decay": 0.1, "weight_decay": 0.01}, "Adagrad", {"lr_decay": 0.1, "weight_decay": 0.01}),
    ("adagrad", {"initial_accumulator": 0.5}, "Adagrad", {"initial_accumulator_value": 0.5}),
]


@pytest.mark.parametrize("ours,settings,theirs,arguments", CASES)
def test_twenty_steps_are_those_of_torch(tmp_path, ours, settings, theirs, arguments):
    torch = pytest.importorskip("torch", reason="python3-torch is not installed")
    got = np.array([[float(x) for x in line.split()] for line in oracle(
        tmp_path, "optimizer", [STEPS], optimizer={"type": ours, "learning_rate": 0.01, **settings}).splitlines()])
    want = torch_weights(lambda w: getattr(torch.optim, theirs)(w, lr=0.01, **arguments))
    assert np.abs(got - want).max() < 3e-5
    assert np.abs(want[-1] - want[0]).max() > 1e-2


# ---- schedules ----

def torch_rates(make, total, per_epoch=None, values=None):
    import torch
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule, rates = make(opt), []
    for step in range(total):
        rates.append(opt.param_groups[0]["lr"])
        opt.step()
        if values is not None:
            if (step + 1) % per_epoch == 0:
                schedule.step(values[step // per_epoch])
        elif per_epoch is None or (step + 1) % per_epoch == 0:
            schedule.step()
    return np.array(rates)


def rates(tmp_path, schedule, total, per_epoch, text=""):
    return np.array([float(x) for x in oracle(tmp_path, "schedule", [per_epoch, total], schedule=schedule, text=text,
                                              optimizer={"type": "sgd", "learning_rate": 0.1}).split()])


@pytest.mark.parametrize("schedule,per_epoch,make", [
    ({"type": "step", "every_epochs": 3, "gamma": 0.5}, 4, lambda s, o: s.StepLR(o, 3, 0.5)),
    ({"type": "multistep", "milestones": [2, 7], "gamma": 0.2}, 4, lambda s, o: s.MultiStepLR(o, [2, 7], 0.2)),
    ({"type": "exponential", "gamma": 0.9}, 4, lambda s, o: s.ExponentialLR(o, 0.9)),
    ({"type": "cosine", "minimum": 0.01}, None, lambda s, o: s.CosineAnnealingLR(o, 120, 0.01)),
    ({"type": "cosine", "minimum": 0.01, "restart_epochs": 5}, None, lambda s, o: s.CosineAnnealingWarmRestarts(o, 20, 1, 0.01)),
    ({"type": "cosine", "restart_epochs": 2, "restart_multiply": 2}, None, lambda s, o: s.CosineAnnealingWarmRestarts(o, 8, 2)),
    ({"type": "one_cycle"}, None, lambda s, o: s.OneCycleLR(o, 0.1, total_steps=120, cycle_momentum=False)),
    ({"type": "one_cycle", "linear": True, "rise_share": 0.5, "start_divisor": 10}, None,
     lambda s, o: s.OneCycleLR(o, 0.1, total_steps=120, cycle_momentum=False, anneal_strategy="linear", pct_start=0.5, div_factor=10)),
])
def test_rates_are_those_of_torch(tmp_path, schedule, per_epoch, make):
    torch = pytest.importorskip("torch", reason="python3-torch is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = torch_rates(lambda o: make(torch.optim.lr_scheduler, o), 120, per_epoch)
    assert np.abs(rates(tmp_path, schedule, 120, 4) - want).max() < 1e-9


def test_polynomial_with_warm_up_is_its_formula(tmp_path):
    got = rates(tmp_path, {"type": "polynomial", "power": 2, "minimum": 0.01, "warmup_steps": 20}, 120, 4)
    assert np.allclose(got[:20], 0.1 * np.arange(1, 21) / 20)
    assert np.allclose(got[20:], 0.01 + 0.09 * (1 - np.arange(100) / 100) ** 2)


def test_restarts_can_begin_lower(tmp_path):
    got = rates(tmp_path, {"type": "cosine", "restart_epochs": 2, "restart_decay": 0.5}, 32, 4)
    assert np.allclose(got[::8], [0.1, 0.05, 0.025, 0.0125])


def test_a_plateau_reduces_as_torch_does(tmp_path):
    torch = pytest.importorskip("torch", reason="python3-torch is not installed")
    values = [1, 0.9, 0.95, 0.9, 0.93, 0.8, 0.85, 0.84, 0.82, 0.81, 0.83, 0.79, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8]
    for patience, cooldown in ((1, 0), (0, 2), (2, 1)):
        want = torch_rates(lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(
            o, factor=0.5, patience=patience, cooldown=cooldown, threshold=0, threshold_mode="abs", min_lr=0.005), 80, 4, values)
        got = rates(tmp_path, {"type": "reduce_on_plateau", "factor": 0.5, "patience_epochs": patience, "cooldown_epochs": cooldown,
                               "minimum": 0.005}, 80, 4, " ".join(map(str, values)))
        assert np.abs(got - want).max() < 1e-12, (patience, cooldown)
        assert want[-1] < 0.1


# ---- metrics ----

def measure(tmp_path, scores, targets, loss, metrics, **members):
    text = " ".join(f"{x:.9g}" for x in np.asarray(scores).ravel()) + " " + " ".join(f"{x:.9g}" for x in np.asarray(targets).ravel())
    out = oracle(tmp_path, "metrics", [len(scores), np.asarray(scores).reshape(len(scores), -1).shape[1]], loss=loss, text=text,
                 metrics=metrics, **members)
    return {k: float(v) for k, v in (line.split() for line in out.splitlines())}


def test_classes_are_measured_as_by_sklearn(tmp_path):
    sk = pytest.importorskip("sklearn.metrics", reason="python3-sklearn is not installed")
    random = np.random.default_rng(1)
    y = random.integers(0, 6, 700)
    scores = (random.normal(size=(700, 6)) + 1.5 * np.eye(6)[y]).round(3).astype(np.float32)
    got = measure(tmp_path, scores, y, {"type": "softmax_cross_entropy"},
                  ["accuracy", "top_k", "precision", "recall", "f1", "auc", "perplexity", "bits_per_byte"], top_k=3)
    p = np.exp(scores - scores.max(1, keepdims=True).astype(np.float64))
    p /= p.sum(1, keepdims=True)
    best = scores.argmax(1)
    loss = sk.log_loss(y, p)
    want = {"loss": loss, "accuracy": sk.accuracy_score(y, best), "top_k": sk.top_k_accuracy_score(y, scores, k=3),
            "precision": sk.precision_score(y, best, average="macro"), "recall": sk.recall_score(y, best, average="macro"),
            "f1": sk.f1_score(y, best, average="macro"), "auc": sk.roc_auc_score(y, p, multi_class="ovr"),
            "perplexity": math.exp(loss), "bits_per_byte": loss / math.log(2)}
    for name, value in want.items():
        assert abs(got[name] - value) < 2e-6, name
    for c, (a, b, f) in enumerate(zip(*sk.precision_recall_fscore_support(y, best)[:3])):
        assert (got[f"precision.{c}"], got[f"recall.{c}"], got[f"f1.{c}"]) == pytest.approx((a, b, f))
    assert [[got[f"confusion.{t}.{q}"] for q in range(6)] for t in range(6)] == sk.confusion_matrix(y, best).tolist()


@pytest.mark.parametrize("labels", [1, 4])
def test_labels_are_measured_as_by_sklearn(tmp_path, labels):
    sk = pytest.importorskip("sklearn.metrics", reason="python3-sklearn is not installed")
    random = np.random.default_rng(2)
    y = random.integers(0, 2, (400, labels))
    scores = (random.normal(size=(400, labels)) + y).round(2).astype(np.float32)
    got = measure(tmp_path, scores, y, {"type": "binary_cross_entropy"}, ["accuracy", "precision", "recall", "f1", "auc"])
    there = scores > 0
    average = "binary" if labels == 1 else "macro"
    flat = (lambda x: x[:, 0]) if labels == 1 else (lambda x: x)
    want = {"accuracy": (there == y).mean(), "precision": sk.precision_score(flat(y), flat(there), average=average),
            "recall": sk.recall_score(flat(y), flat(there), average=average), "f1": sk.f1_score(flat(y), flat(there), average=average),
            "auc": sk.roc_auc_score(flat(y), flat(scores), average="macro")}
    for name, value in want.items():
        assert abs(got[name] - value) < 1e-9, name


def test_values_are_measured_as_by_sklearn(tmp_path):
    sk = pytest.importorskip("sklearn.metrics", reason="python3-sklearn is not installed")
    random = np.random.default_rng(3)
    y = random.normal(size=(300, 3)).astype(np.float32) * 100
    scores = (y + random.normal(size=(300, 3)) * 20).astype(np.float32)
    got = measure(tmp_path, scores, y, {"type": "mean_squared_error"},
                  ["mean_absolute_error", "mean_squared_error", "root_mean_squared_error", "r2"])
    want = {"mean_absolute_error": sk.mean_absolute_error(y, scores), "mean_squared_error": sk.mean_squared_error(y, scores),
            "root_mean_squared_error": math.sqrt(sk.mean_squared_error(y, scores)), "r2": sk.r2_score(y, scores)}
    for name, value in want.items():
        assert got[name] == pytest.approx(value, rel=1e-5), name


def test_losses_are_those_of_torch(tmp_path):
    torch = pytest.importorskip("torch", reason="python3-torch is not installed")
    f = torch.nn.functional
    random = np.random.default_rng(4)
    y = random.integers(0, 5, 200)
    y[::9] = 3
    scores = random.normal(size=(200, 5)).round(3) * 2
    weights = [1.0, 0.5, 2.0, 1.5, 0.25]
    got = measure(tmp_path, scores, y, {"type": "softmax_cross_entropy", "label_smoothing": 0.1, "class_weights": weights,
                                        "ignore_index": 3}, [])
    want = f.cross_entropy(torch.tensor(scores), torch.tensor(y), torch.tensor(weights).double(), ignore_index=3, label_smoothing=0.1)
    assert got["loss"] == pytest.approx(want.item(), rel=1e-6)
    values = random.normal(size=(200, 5)).round(3)
    t, s = torch.tensor(values), torch.tensor(scores)
    assert measure(tmp_path, scores, values, {"type": "huber", "delta": 0.7}, [])["loss"] == pytest.approx(
        f.huber_loss(s, t, delta=0.7).item(), rel=1e-6)
    assert measure(tmp_path, scores, values, {"type": "mean_absolute_error"}, [])["loss"] == pytest.approx(f.l1_loss(s, t).item(), rel=1e-6)
    there = (values > 0) * 1.0
    assert measure(tmp_path, scores, there, {"type": "binary_cross_entropy", "pos_weight": 2.5}, [])["loss"] == pytest.approx(
        f.binary_cross_entropy_with_logits(s, torch.tensor(there), pos_weight=torch.tensor(2.5)).item(), rel=1e-6)
