"""The console in real Chromium on the real orchestrator: sign in, submit a run, see the curve move (tests/browser/run.test.mjs)."""
import os
import shutil
import subprocess

import pytest

from conftest import BUILD, ROOT, SANITIZED
from test_whole_way import task  # noqa: F401  (a task with one asset of each kind)

pytestmark = pytest.mark.skipif(SANITIZED, reason="the console is built in the release build only")


def test_the_console_is_served_with_its_guards(cluster):
    page = cluster.api.session.get(cluster.url + "/", timeout=10)
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy or "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[-1].split(";")[0] and "unsafe-eval" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert cluster.api.session.get(cluster.url + "/jobs/1", timeout=10).text == page.text, "a deep link gives the application"
    asset = page.text.split('src="')[1].split('"')[0]
    script = cluster.api.session.get(cluster.url + asset, timeout=10)
    assert script.status_code == 200 and "immutable" in script.headers["Cache-Control"]


def test_a_person_signs_in_submits_a_run_and_sees_the_curve_move(cluster, task, tmp_path):  # noqa: F811
    signin = cluster.api.ok("POST", "/tokens", json={"name": "browser test", "kind": "signin"})["token"]
    node_modules = ROOT / "build" / "node" / "node_modules" / "node" / "bin"
    env = {**os.environ, "TRAINYARD_URL": cluster.url, "TRAINYARD_SIGNIN": signin, "TRAINYARD_TASK": "digits", "TRAINYARD_SCREENSHOTS": str(tmp_path),
           "PATH": f"{node_modules}:{os.environ['PATH']}"}
    assert shutil.which("chromium"), "scripts/test installs chromium"
    run = subprocess.run(["node", "--test", "tests/browser/run.test.mjs"], cwd=ROOT, env=env, timeout=400, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout[-6000:]
