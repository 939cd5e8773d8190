"""scripts/quickstart twice, then scripts/stop: what a new user does first."""
import os
import pathlib
import re
import subprocess

import pytest

from conftest import BUILD, ROOT, free_port, wait_until

pytestmark = pytest.mark.heavy


def users_of(folder):
    """Processes that have the folder in their command line or as working directory."""
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            text = (p / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            cwd = os.readlink(p / "cwd")
        except OSError:
            continue
        if (str(folder) in text or cwd.startswith(str(folder))) and int(p.name) != os.getpid():
            found.append((p.name, text))
    return found


def test_quickstart_trains_leaves_everything_running_and_stops_clean(tmp_path):
    if BUILD != ROOT / "build" / "release":
        pytest.skip("quickstart builds and uses build/release")
    state = tmp_path / "state"
    env = {k: v for k, v in os.environ.items() if not k.startswith("TRAINYARD_")}
    env.update(HOME=str(tmp_path), TRAINYARD_STATE=str(state), TRAINYARD_LISTEN=f"127.0.0.1:{free_port()}")
    try:
        first = subprocess.run([ROOT / "scripts/quickstart"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=900)
        assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-5000:]
        assert re.search(r"http://127\.0\.0\.1:\d+/#signin=\S+", first.stdout), "the console's link with a one-time token"
        assert list(state.glob("results/*/weights.safetensors"))
        assert users_of(state), "everything is left running"
        second = subprocess.run([ROOT / "scripts/quickstart"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=900)
        assert second.returncode == 0, second.stdout[-3000:] + second.stderr[-5000:]
        assert len(list(state.glob("results/*/weights.safetensors"))) == 2
    finally:
        stop = subprocess.run([ROOT / "scripts/stop"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    assert stop.returncode == 0, stop.stdout + stop.stderr
    wait_until("every process to be gone", lambda: not users_of(state), seconds=10)
    assert [p.name for p in tmp_path.iterdir() if p.name not in ("state", ".config")] == [], "nothing is left but the state folder"
