"""trainyard submit: a batch script with its directives, from the command line to its exit status."""
import json

import pytest

from conftest import wait_until
from test_whole_way import all_items

SCRIPT = """#!/bin/sh
#SBATCH --job-name="two words" -n 2 --mem=64M
#TRAINYARD --time=10
#SBATCH --output=out.%j   # where it would go
echo "$SLURM_JOB_NAME $SLURM_NTASKS $1 ${COLOUR:-none}"
exit ${2:-0}
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "job.sh"
    path.write_text(SCRIPT)
    return path


def texts(cluster, job):
    return [m["record"]["text"] for m in all_items(cluster.api, f"/jobs/{job}/logs")]


def test_directives_decide_and_the_command_line_goes_before_them(cluster, script):
    done = cluster.cli("--json", "submit", "--export", "COLOUR=red", script, "one")
    assert done.returncode == 0, done.stderr
    assert "--output changes nothing here" in done.stderr
    job = json.loads(done.stdout)
    assert job["name"] == "two words" and job["time_limit_seconds"] == 600
    assert job["resources"]["ranks"] == 2 and job["resources"]["memory_bytes"] == 64 << 20
    cluster.wait_job(job["id"])
    assert texts(cluster, job["id"]) == ["two words 2 one red"]
    job = json.loads(cluster.cli("--json", "submit", "-n", 1, "-J", "other", "-t", "1:00", script).stdout)
    assert (job["name"], job["resources"]["ranks"], job["time_limit_seconds"]) == ("other", 1, 60)
    cluster.wait_job(job["id"])


def test_following_ends_with_the_job_s_own_verdict(cluster, script):
    assert cluster.cli("submit", "-f", script, "x").returncode == 0
    assert cluster.cli("submit", "-f", script, "x", 3).returncode != 0


def test_a_script_from_standard_input_held_until_released(cluster):
    done = cluster.cli("--json", "submit", "-H", "-", input="#!/bin/sh\necho in\n")
    job = json.loads(done.stdout)
    assert job["held"] is True and job["name"] == "stdin" and job["reason"] == "held"
    after = json.loads(cluster.cli("--json", "submit", "-", input="#!/bin/sh\ntrue\n").stdout)["id"]
    cluster.wait_job(after)
    assert cluster.api.ok("GET", f"/jobs/{job['id']}")["state"] == "PENDING"
    cluster.api.ok("POST", f"/jobs/{job['id']}/release")
    cluster.wait_job(job["id"])


@pytest.mark.parametrize("text,words", [
    ("#!/bin/sh\n#SBATCH --array=1-3\n", ("line 2", "--array", "not supported")),
    ("#!/bin/sh\n#SBATCH --tiem=3\n", ("line 2", "--tiem", "--time")),
    ("#!/bin/sh\n#SBATCH -J 'x\n", ("line 2", "quote")),
    ("echo no interpreter\n", ("#!",)),
    ("#!/bin/sh\n#SBATCH -p none\n", ("partition", "none")),
])
def test_a_script_that_cannot_be_heeded_is_refused(cluster, text, words):
    done = cluster.cli("submit", "-", input=text)
    assert done.returncode != 0 and done.stdout == ""
    for word in words:
        assert word in done.stderr, done.stderr


def test_files_that_are_none(cluster, tmp_path):
    assert "absent.sh" in cluster.cli("submit", tmp_path / "absent.sh").stderr
    (tmp_path / "binary").write_bytes(b"#!/bin/sh\n\0\n")
    assert "zero byte" in cluster.cli("submit", tmp_path / "binary").stderr
    (tmp_path / "latin").write_bytes(b"#!/bin/sh\necho \xe9\n")
    assert "UTF-8" in cluster.cli("submit", tmp_path / "latin").stderr


def test_a_waiting_job_says_when_it_starts(cluster):
    gate = cluster.dir / "gate-submit"
    first = json.loads(cluster.cli("--json", "submit", "-t", 30, "-n", 2, "--export", f"GATE={gate}", "-",
                                   input='#!/bin/sh\nwhile [ ! -e "$GATE" ]; do sleep 0.05; done\n').stdout)["id"]
    cluster.wait_job(first, ("RUNNING",))
    second = json.loads(cluster.cli("--json", "submit", "-n", 2, "-", input="#!/bin/sh\ntrue\n").stdout)["id"]
    reason = wait_until("the reason", lambda: (r := cluster.api.ok("GET", f"/jobs/{second}")["reason"]) and "starts about" in r and r)
    assert reason.startswith("waits for 2 cores; 0 free; starts about 20") and f"job {first} has ended" in reason
    gate.touch()
    cluster.wait_job(second)
