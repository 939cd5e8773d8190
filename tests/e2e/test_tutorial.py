"""docs/tutorial.md, run as written: every sh block in order, in one shell, on a machine (network namespace, home) of its own."""
import json
import os
import re
import shutil
import subprocess

import pytest

from conftest import BIN, BUILD, ROOT, SHARED

pytestmark = pytest.mark.heavy


def blocks():
    return re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / "tutorial.md").read_text(), re.M | re.S)


def namespace():
    """A loopback of its own, so that the page's port is free whatever else runs here."""
    probe = subprocess.run(["unshare", "--net", "true"], capture_output=True)
    return ["unshare", "--net"] if probe.returncode == 0 else []


@pytest.fixture
def home(tmp_path):
    for leftover in ("/tmp/trainyard-results", "/tmp/trainyard-broken.json", "/tmp/trainyard-report.json"):
        shutil.rmtree(leftover, ignore_errors=True) if os.path.isdir(leftover) else os.path.exists(leftover) and os.unlink(leftover)
    yield tmp_path
    env = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run([str(BIN / "trainyard"), "down"], env=env, capture_output=True, timeout=120)


def test_the_page_works_as_written_and_reaches_its_accuracy(home):
    if not (SHARED / "data" / "mnist").is_dir():
        pytest.skip("../shared/data/mnist is absent")
    if BUILD != ROOT / "build" / "release":
        pytest.skip("the page speaks of build/release")
    script = ("ip link set lo up\n" if namespace() else "") + "set -euo pipefail\n"
    for i, block in enumerate(blocks()):
        script += f"echo '=== block {i}' >&2\n{block}"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("TRAINYARD_", "OPENBLAS_CORETYPE", "XDG_"))}
    run = subprocess.run([*namespace(), "bash", "-c", script], cwd=ROOT, env={**env, "HOME": str(home)}, timeout=1000,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 0, f"{run.stdout[-4000:]}\n--- stderr\n{run.stderr[-6000:]}"
    assert "refused, as it should be" in run.stdout
    assert "#signin=" in run.stdout
    report = json.load(open("/tmp/trainyard-results/report.json"))
    accuracy = report["values"]["accuracy"]
    print(f"MNIST, 3 epochs, 2 ranks: {accuracy:.4f}")
    assert accuracy >= 0.985
    assert json.load(open("/tmp/trainyard-report.json"))["ranks"] == 2
    assert sorted(p.name for p in home.rglob("*.pid")) == [], "nothing is left running"
