"""kill -9 of orchestrator and of agent in mid-run: the run still ends well, no metric lost or doubled."""
import json

import pytest

from conftest import ROOT, wait_until
from test_whole_way import EXAMPLES, all_items, processes_in, tar_of


def start_run(cluster, digits, epochs=12):
    api = cluster.api
    api.ok("POST", "/tasks", json={"name": "digits", "type": "classification"})
    api.ok("POST", "/tasks/digits/datasets?name=digits", data=tar_of(digits))
    for kind, name, file in (("algorithms", "adamw", "algorithm.json"), ("layers", "conv_block", "conv_block.json"), ("models", "cnn", "model.json")):
        api.ok("POST", f"/tasks/digits/{kind}?name={name}", data=(EXAMPLES / file).read_bytes())
    job = api.ok("POST", "/tasks/digits/instances", json={"name": "run", "dataset": "digits", "algorithm": "adamw", "model": "cnn",
                                                         "resources": {"ranks": 2}, "overrides": {"/epochs": epochs}})["id"]
    cluster.wait_job(job, ("RUNNING",))
    wait_until("some metrics", lambda: len(api.ok("GET", f"/jobs/{job}/metrics?limit=5")["items"]) >= 5)
    return job


def check_metrics(cluster, job, epochs=12):
    """Against the trainer's own account: every line of its file once, in order, from start to end."""
    items = all_items(cluster.api, f"/jobs/{job}/metrics")
    assert [m["seq"] & (2**40 - 1) for m in items] == list(range(1, len(items) + 1))
    records = [m["record"] for m in items]
    assert records[0]["kind"] == "start" and records[-1]["kind"] == "end"
    steps = [r["step"] for r in records if r["kind"] == "train"]
    assert steps == sorted(set(steps)), "no step twice"
    assert sum(r["kind"] == "eval" for r in records) == epochs
    logs = [m["seq"] for m in all_items(cluster.api, f"/jobs/{job}/logs")]
    assert [s & (2**40 - 1) for s in logs] == list(range(1, len(logs) + 1))


def test_an_orchestrator_killed_in_mid_run_comes_back_and_misses_nothing(own_cluster, digits):
    cluster = own_cluster()
    job = start_run(cluster, digits)
    cluster.orchestrator.kill()
    assert processes_in(cluster.dir), "the job runs on without its orchestrator"
    cluster.orchestrator.start()
    cluster.wait_ready()
    done = cluster.wait_job(job, seconds=240)
    assert done["attempt"] == 1, "it was never started a second time"
    check_metrics(cluster, job)


def test_an_agent_killed_in_mid_run_comes_back_and_misses_nothing(own_cluster, digits):
    cluster = own_cluster()
    job = start_run(cluster, digits)
    cluster.agents["n1"].kill()
    assert processes_in(cluster.dir), "the job runs on without its agent"
    cluster.agents["n1"].start()
    done = cluster.wait_job(job, seconds=240)
    assert done["attempt"] == 1
    check_metrics(cluster, job)
    assert not processes_in(cluster.dir)


def test_a_run_that_ends_while_both_are_away_is_still_collected(own_cluster, digits):
    cluster = own_cluster()
    job = start_run(cluster, digits, epochs=8)
    cluster.orchestrator.kill()
    cluster.agents["n1"].kill()
    wait_until("the trainer to end by itself", lambda: not processes_in(cluster.dir), seconds=120)
    cluster.orchestrator.start()
    cluster.wait_ready()
    cluster.agents["n1"].start()
    cluster.wait_job(job, seconds=60)
    check_metrics(cluster, job, epochs=8)


def test_an_answered_submission_survives_a_killed_orchestrator(own_cluster, digits):
    cluster = own_cluster(agents=0)
    api = cluster.api
    ids = [api.ok("POST", "/jobs", json={"kind": "batch", "name": f"j{i}", "script": "#!/bin/sh\necho ran $SLURM_JOB_ID\n"})["id"] for i in range(20)]
    cluster.orchestrator.kill()
    cluster.orchestrator.start()
    cluster.wait_ready()
    assert {j["id"] for j in all_items(api, "/jobs")} == set(ids)
    cluster.add_agent("n1")
    for i in ids:
        cluster.wait_job(i)
        lines = [m["record"]["text"] for m in all_items(api, f"/jobs/{i}/logs")]
        assert lines == [f"ran {i}"], "it ran once"
