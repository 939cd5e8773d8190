"""What an algorithm file decides, seen from outside the trainer: accumulation, averages, plateaus, the best checkpoint, every optimizer and
loss. The numbers themselves are held to papers, PyTorch and scikit-learn in tests/unit/kernels-optim."""
import pytest

from test_trainer import algorithm, bench, mlp, pack  # noqa: F401 (fixtures)

FLAT = [1, 28, 28]
SGD = {"type": "sgd", "learning_rate": 0.05}


def small():
    return mlp(0, 16, 10, shape=FLAT)


def losses(run):
    return [(e["train"]["loss"], e["eval"]["loss"]) for e in run.report["epochs"]]


def near(a, b, tolerance=1e-4):
    return all(abs(x - y) < tolerance for p, q in zip(a, b) for x, y in zip(p, q)) and len(a) == len(b)


@pytest.mark.parametrize("ranks", [1, 2])
def test_accumulated_batches_are_one_large_batch(bench, ranks):
    whole = bench(small(), algorithm(optimizer=SGD, batch_size=60, epochs=2)).run("whole", ranks=ranks)
    parts = bench(small(), algorithm(optimizer=SGD, batch_size=20, gradient_accumulation=3, epochs=2)).run("parts", ranks=ranks)
    assert near(losses(whole), losses(parts))
    assert parts.report["step"] == whole.report["step"]


def test_class_weights_of_one_change_nothing_and_others_do(bench):
    plain = bench(small(), algorithm(optimizer=SGD)).run("plain")
    ones = bench(small(), algorithm(optimizer=SGD, loss={"type": "softmax_cross_entropy", "class_weights": [1] * 10})).run("ones")
    uneven = bench(small(), algorithm(optimizer=SGD, loss={"type": "softmax_cross_entropy", "class_weights": [9] + [1] * 9})).run("uneven")
    assert near(losses(plain), losses(ones), 1e-6) and not near(losses(plain), losses(uneven), 1e-3)


@pytest.mark.parametrize("optimizer", [
    {"type": "rmsprop", "learning_rate": 0.001, "momentum": 0.5, "centered": True}, {"type": "adagrad", "learning_rate": 0.02},
    {"type": "lamb", "learning_rate": 0.01}, {"type": "lion", "learning_rate": 0.0005},
    {"type": "muon", "learning_rate": 0.02, "adamw_for": ["logits.*"]}, {"type": "adamw", "weight_decay_exclude": ["hidden.*"]}],
    ids=lambda o: o["type"])
def test_an_optimizer_learns_and_resumes_to_the_bit(bench, optimizer):
    settings = dict(optimizer=optimizer, epochs=4, weight_average={"decay": 0.9}, gradient_clip_value=0.5,
                    schedule={"type": "reduce_on_plateau", "patience_epochs": 0, "min_delta": 10})
    b = bench(small(), algorithm(**settings))
    whole = b.run("whole")
    b.run("parts", extra=["--set", "/epochs=2"])
    parts = b.run("parts", extra=["--resume", "auto"])
    assert parts.weights == whole.weights
    assert losses(parts) == losses(whole)
    assert whole.report["values"]["accuracy"] > 0.5
    rates = [e["learning_rate"] for e in whole.report["epochs"]]
    assert rates[0] > rates[-1] > 0


@pytest.mark.parametrize("ranks", [2, 3])
def test_metrics_are_the_same_on_any_number_of_ranks(bench, ranks):
    settings = algorithm(optimizer=SGD, epochs=1, top_k=2,
                         metrics=["accuracy", "top_k", "precision", "recall", "f1", "auc", "perplexity", "bits_per_byte"])
    one, more = bench(small(), settings).run("one"), bench(small(), settings).run("more", ranks=ranks)
    a, b = one.report["values"], more.report["values"]
    assert set(a) == set(b) == {"loss", *settings["metrics"]}
    assert all(abs(a[k] - b[k]) < 2e-3 for k in a), (a, b)  # weights differ by rounding
    assert sum(c["targets"] for c in one.report["classes"]) == one.report["test_samples"]
    assert [c["targets"] for c in one.report["classes"]] == [c["targets"] for c in more.report["classes"]]
    assert abs(sum(c["auc"] for c in one.report["classes"]) / 10 - a["auc"]) < 1e-9


def test_the_average_is_what_is_evaluated_and_exported(bench):
    plain = bench(small(), algorithm(optimizer=SGD)).run("plain")
    none = bench(small(), algorithm(optimizer=SGD, weight_average={"decay": 1e-9})).run("none")
    slow = bench(small(), algorithm(optimizer=SGD, weight_average={"decay": 0.98, "warmup": False})).run("slow")
    assert near(losses(plain), losses(none), 1e-5)
    assert [e["train"] for e in slow.report["epochs"]] == [e["train"] for e in plain.report["epochs"]]
    assert slow.report["epochs"][0]["eval"]["loss"] > plain.report["epochs"][0]["eval"]["loss"]
    assert slow.weights != plain.weights


def test_the_best_epoch_is_kept_and_exported(bench):
    # the rate rises until it does harm, so that a middle epoch is the best
    b = bench(small(), algorithm(optimizer={"type": "sgd", "learning_rate": 8}, epochs=6, gradient_clip_norm=1,
                                 schedule={"type": "constant", "warmup_steps": 96}, checkpoint={"keep": 1, "keep_best": True, "export_best": True, "metric": "loss"}))
    run = b.run("out")
    evals = [e["eval"]["loss"] for e in run.report["epochs"]]
    best = evals.index(min(evals))
    assert 0 < best < 5, evals
    assert run.report["values"]["loss"] == evals[best]
    names = sorted(p.name for p in (run.out / "checkpoints").iterdir())
    assert names[0] == "best.ckpt" and len(names) == 2
    # resuming keeps what was best, whatever comes after
    b.run("parts", extra=["--set", "/epochs=3"])
    parts = b.run("parts", extra=["--resume", "auto"])
    assert parts.weights == run.weights and parts.report["values"] == run.report["values"]


def test_a_binary_loss_takes_labels(bench):
    run = bench(small(), algorithm(loss={"type": "binary_cross_entropy", "pos_weight": 2}, metrics=["accuracy", "f1", "auc"], epochs=6)).run("out")
    assert run.report["values"]["auc"] > 0.9


@pytest.mark.parametrize("changed,says", [
    ({"loss": {"type": "softmax_cross_entropy", "class_weights": [1, 2]}}, "2 class weights, the dataset has 10 classes"),
    ({"checkpoint": {"export_best": True}}, "needs keep_best"),
    ({"schedule": {"type": "reduce_on_plateau", "metric": "f1"}}, "not among the metrics"),
    ({"metrics": ["r2"]}, "has no meaning with the loss softmax_cross_entropy"),
    ({"optimizer": {"type": "rms_prop"}}, 'did you mean "rmsprop"'),
    ({"optimizer": {"type": "muon", "adamw_for": [""]}}, "a pattern is a text of 1 to 63 characters"),
    ({"schedule": {"type": "cosine", "restart_decay": 0.5}}, "restarts need restart_epochs"),
    ({"gradient_accumulation": 0}, "from 1 to 65536"),
])
def test_what_makes_no_sense_is_named(bench, changed, says):
    run = bench(small(), algorithm(**changed)).run("out", code=3)
    assert says in run.stdout + run.stderr
