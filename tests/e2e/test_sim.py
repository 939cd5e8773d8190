"""trainyard sim: the scheduler on small traces whose outcome is worked out by hand, and on files that are none."""
import json
import subprocess

import pytest

from conftest import BIN

HEAD = "id,owner,submit,duration,limit,ranks,cores,memory_mib,gpus\n"
# On one node of 4 cores: 1 runs to 100, 2 needs all, 3 would end in time, 4 would not, 5 is larger than the cluster.
JOBS = HEAD + "1,1,0,100,100,3,1,0,0\n2,1,1,50,50,4,1,0,0\n3,1,2,90,90,1,1,0,0\n4,1,3,200,200,1,1,0,0\n5,1,4,1,1,9,1,0,0\n"


def sim(*words):
    return subprocess.run([str(BIN / "trainyard"), "--json", "sim", *map(str, words)], capture_output=True, text=True, timeout=120)


def run(tmp_path, policy, jobs=JOBS):
    (tmp_path / "jobs.csv").write_text(jobs)
    (tmp_path / "nodes.csv").write_text("name,cores,memory_mib,gpus\nn1,4,1024,0\n")
    done = sim("--trace", tmp_path / "jobs.csv", "--nodes", tmp_path / "nodes.csv", "--policy", policy)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("policy,ends", [
    ("fifo", (100, 150, 240, 350)),       # 2 at 100, then 3 and 4 at 150
    ("easy", (100, 150, 92, 350)),        # 3 fills in at 2, 4 waits for 2
    ("conservative", (100, 150, 92, 350)),
    ("first-fit", (100, 342, 92, 292)),   # 4 starts at 92 and keeps 2 waiting until 292
])
def test_completion_is_what_one_works_out_by_hand(tmp_path, policy, ends):
    report = run(tmp_path, policy)
    completion = sorted(end - submit for end, submit in zip(ends, (0, 1, 2, 3)))
    assert report["jobs"] == 4 and report["never"] == 1
    assert report["completion_seconds"]["mean"] == pytest.approx(sum(completion) / 4)
    assert report["completion_seconds"]["max"] == pytest.approx(completion[-1])
    assert report["makespan_seconds"] == pytest.approx(max(ends))
    assert report["cores_used"] == pytest.approx((300 + 200 + 90 + 200) / 4 / max(ends))


def test_a_time_limit_ends_a_simulated_job(tmp_path):
    report = run(tmp_path, "easy", HEAD + "1,1,0,100,30,1,1,0,0\n")
    assert report["completion_seconds"]["mean"] == 30


def test_the_same_seed_gives_the_same_report():
    def strip(text):
        return {k: v for k, v in json.loads(text).items() if not k.startswith("pass_")}
    one, two, other = (strip(sim("--generate", 200, "--nodes", 4, "--seed", s).stdout) for s in (3, 3, 4))
    assert one == two != other and one["jobs"] == 200


@pytest.mark.parametrize("text,words", [
    ("", ("empty",)),
    ("a,b\n", ("header", "\"a\"", "id")),
    (HEAD, ("no job",)),
    (HEAD + "1,1,0\n", ("line 2", "3 columns", "9")),
    (HEAD + "1,1,x,1,1,1,1,1,1\n", ("line 2", "column 3", "\"x\"")),
    (HEAD + "1,1,nan,1,1,1,1,1,1\n", ("line 2", "column 3")),
    (HEAD + "1,1,0,1,1,0,1,1,1\n", ("line 2", "column 6")),
    (HEAD + "1,1,0,1,1,1e11,1,1,1\n", ("line 2", "more than any cluster")),
    (HEAD + "1,1,0,1,1,1,1,1,1\n" * 2, ("job 1 twice",)),
    ("x," * 50 + "\n", ("line 1", "columns")),
])
def test_files_that_are_no_trace_are_refused(tmp_path, text, words):
    (tmp_path / "jobs.csv").write_text(text)
    done = sim("--trace", tmp_path / "jobs.csv")
    assert done.returncode != 0 and done.stdout == ""
    for word in words:
        assert word in done.stderr, done.stderr


def test_what_to_simulate_must_be_said_and_known(tmp_path):
    assert "--trace" in sim().stderr
    assert "conservative" in sim("--generate", 5, "--policy", "luck").stderr
