"""Jobs as people use them: scripts, cancelling, holding, putting back, whose is whose, nodes that come and go."""
import asyncio
import json
import threading
import time

import pytest

from checked import CheckedApi, problem
from conftest import Cluster, wait_until
from test_api_stream import stream
from test_whole_way import all_items, processes_in


@pytest.fixture(scope="module")
def yard(postgres):
    """An orchestrator and one agent of four cores; .api is the admin with every reply checked, .person(name, role) somebody else."""
    c = Cluster(postgres, agents=0)
    c.api = CheckedApi(c.url, c.token)
    c.add_agent("n1", 4)

    def person(name, role="user"):
        c.api.ok("POST", "/users", json={"name": name, "password": "correct horse " + name, "role": role}, status=201)
        api = CheckedApi(c.url)
        api.ok("POST", "/sessions", json={"name": name, "password": "correct horse " + name}, status=201)
        api.session.headers["X-Trainyard"] = "1"
        return api

    c.person = person
    yield c
    c.stop()


def batch(api, script, **more):
    body = {"kind": "batch", "name": "script", "script": "#!/bin/sh\n" + script, **more}
    return api.ok("POST", "/jobs", json=body, status=201)


def texts(yard, job, stream_name="stdout"):
    return [l["record"]["text"] for l in all_items(yard.api, f"/jobs/{job}/logs") if l["record"]["stream"] == stream_name]


def test_a_script_runs_with_its_environment_and_says_how_it_ended(yard):
    job = batch(yard.api, 'echo "hello $NAME from job $SLURM_JOB_ID"; echo sorry >&2; exit 7', environment={"NAME": "Ada"})
    done = yard.wait_job(job["id"], ("FAILED",))
    assert done["exit_code"] == 7 and done["signal"] is None and done["failure"]["message"]
    assert texts(yard, job["id"]) == [f"hello Ada from job {job['id']}"]
    assert texts(yard, job["id"], "stderr") == ["sorry"]
    assert "sorry" in "".join(done["failure"]["tail"])
    events = yard.api.ok("GET", f"/jobs/{job['id']}/events")["items"]
    assert [e["to"] for e in events][0] == "PENDING" and events[-1]["to"] == "FAILED"
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))


def test_a_signal_is_named(yard):
    job = batch(yard.api, "kill -SEGV $$")
    done = yard.wait_job(job["id"], ("FAILED",))
    assert done["signal"] == 11 and "signal 11" in done["failure"]["message"]


def test_metrics_of_a_script_are_read_too(yard):
    job = batch(yard.api, 'for i in 1 2 3; do echo "{\\"kind\\":\\"train\\",\\"step\\":$i,\\"values\\":{\\"loss\\":0.$i}}" >> "$TRAINYARD_METRICS"; done')
    yard.wait_job(job["id"])
    assert [m["record"]["step"] for m in all_items(yard.api, f"/jobs/{job['id']}/metrics")] == [1, 2, 3]


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_with_its_children(yard):
    running = batch(yard.api, "sleep 300 & sleep 300", resources={"ranks": 4})
    yard.wait_job(running["id"], ("RUNNING",))
    waiting = batch(yard.api, "true", resources={"ranks": 1})
    yard.api.ok("POST", f"/jobs/{waiting['id']}/cancel")
    assert yard.wait_job(waiting["id"], ("CANCELLED",))["started"] is None
    yard.api.ok("POST", f"/jobs/{running['id']}/cancel")
    yard.wait_job(running["id"], ("CANCELLED",))
    assert not processes_in(yard.dir)
    problem(yard.api.post(f"/jobs/{running['id']}/cancel"), 409, "CANCELLED")
    assert yard.api.ok("GET", "/nodes")["items"][0]["cores_used"] == 0


def test_a_job_that_ignores_the_signal_is_killed(yard):
    job = batch(yard.api, 'trap "" TERM INT; echo ready; while :; do sleep 1; done')
    wait_until("it to be ready", lambda: texts(yard, job["id"]) == ["ready"])
    yard.api.ok("POST", f"/jobs/{job['id']}/cancel")
    yard.wait_job(job["id"], ("CANCELLED",), seconds=60)


def test_the_time_limit_ends_it(yard):
    job = batch(yard.api, "sleep 300", time_limit_seconds=1)
    done = yard.wait_job(job["id"], ("TIMEOUT",), seconds=60)
    assert "time limit" in json.dumps(done["failure"])


def test_a_held_job_does_not_start_until_it_is_released(yard):
    blocker = batch(yard.api, "sleep 300", resources={"ranks": 4})
    yard.wait_job(blocker["id"], ("RUNNING",))
    job = batch(yard.api, "true")
    assert yard.api.ok("POST", f"/jobs/{job['id']}/hold")["held"] is True
    yard.api.ok("POST", f"/jobs/{blocker['id']}/cancel")
    yard.wait_job(blocker["id"], ("CANCELLED",))
    time.sleep(1)
    assert yard.api.ok("GET", f"/jobs/{job['id']}")["state"] == "PENDING"
    yard.api.ok("POST", f"/jobs/{job['id']}/release")
    yard.wait_job(job["id"])
    problem(yard.api.post(f"/jobs/{job['id']}/hold"), 409, "COMPLETED")


def test_an_ended_job_runs_again_as_the_next_attempt_and_its_clone_as_a_new_job(yard):
    job = batch(yard.api, "echo attempt $SLURM_RESTART_COUNT")
    yard.wait_job(job["id"])
    again = yard.api.ok("POST", f"/jobs/{job['id']}/requeue")
    assert again["id"] == job["id"]
    wait_until("its second attempt to end", lambda: (j := yard.api.ok("GET", f"/jobs/{job['id']}"))["attempt"] == 2 and j["state"] == "COMPLETED")
    logs = all_items(yard.api, f"/jobs/{job['id']}/logs")
    assert [l["attempt"] for l in logs] == [1, 2] and len({l["seq"] for l in logs}) == 2
    copy = yard.api.ok("POST", f"/jobs/{job['id']}/clone", status=(200, 201))
    assert copy["id"] != job["id"] and copy["resubmitted_from"] == job["id"]
    yard.wait_job(copy["id"])


def test_priority_goes_first(yard):
    blocker = batch(yard.api, "sleep 300", resources={"ranks": 4})
    yard.wait_job(blocker["id"], ("RUNNING",))
    low = batch(yard.api, "sleep 0.2", resources={"ranks": 4}, priority=0)
    high = batch(yard.api, "sleep 0.2", resources={"ranks": 4}, priority=10)
    yard.api.ok("POST", f"/jobs/{blocker['id']}/cancel")
    a, b = yard.wait_job(high["id"]), yard.wait_job(low["id"])
    assert a["ended"] <= b["started"]


def test_a_submission_repeated_with_its_key_is_one_job(yard):
    body = {"kind": "batch", "name": "once", "script": "#!/bin/sh\ntrue"}
    replies = []

    def submit():
        replies.append(yard.api.post("/jobs", json=body, headers={"Idempotency-Key": "one-and-only-key-1"}))
    threads = [threading.Thread(target=submit) for _ in range(6)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    ids = {r.json()["id"] for r in replies if r.status_code == 201}
    assert len(ids) == 1, [(r.status_code, r.text[:200]) for r in replies]
    assert {r.status_code for r in replies} <= {201, 409}
    assert submit() is None and replies[-1].json()["id"] in ids
    listed = [j for j in yard.api.ok("GET", "/jobs?limit=100")["items"] if j["name"] == "once"]
    assert len(listed) == 1


def test_a_script_may_belong_to_a_task(yard):
    yard.api.ok("POST", "/tasks", json={"name": "preparation"}, status=201)
    job = batch(yard.api, "true", task="preparation")
    assert job["task"] == "preparation"
    yard.wait_job(job["id"])
    assert [j["id"] for j in yard.api.ok("GET", "/jobs?task=preparation")["items"]] == [job["id"]]
    ada = yard.person("ada-task")
    problem(ada.post("/jobs", json={"kind": "batch", "name": "bad", "script": "#!/bin/sh\ntrue", "task": "preparation"}), 404, "preparation")


@pytest.mark.parametrize("change,words", [
    ({"script": ""}, ["script"]), ({"script": 7}, ["script"]), ({"kind": "dance"}, ["kind"]), ({"resources": {"ranks": 0}}, ["ranks"]),
    ({"resources": {"ranks": "two"}}, ["ranks"]), ({"resources": {"cores_per_rank": -1}}, ["cores_per_rank"]),
    ({"time_limit_seconds": -5}, ["time_limit"]), ({"resources": {"partition": "moon"}}, ["moon"]), ({"environment": {"A": 1}}, ["environment"]),
    ({"arguments": "x"}, ["arguments"]), ({"name": "x" * 500}, ["name"]), ({"task": "nowhere"}, ["nowhere"]),
])
def test_nonsense_is_refused_with_the_member_named(yard, change, words):
    body = {"kind": "batch", "name": "bad", "script": "#!/bin/sh\ntrue", **change}
    r = yard.api.post("/jobs", json=body)
    assert 400 <= r.status_code < 500, r.text
    for word in words:
        assert word in r.json()["detail"], r.text
    assert not [j for j in yard.api.ok("GET", "/jobs?limit=100")["items"] if j["name"] == "bad"]


def test_anothers_jobs_are_not_there(yard):
    ada, bob = yard.person("ada-jobs"), yard.person("bob-jobs")
    job = batch(ada, "echo secret; sleep 1")
    yard.wait_job(job["id"], ("RUNNING", "COMPLETED"))
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/hold"), ("POST", "/release"), ("POST", "/requeue"), ("POST", "/resume"), ("POST", "/clone"),
                         ("GET", "/events"), ("GET", "/metrics"), ("GET", "/logs"), ("GET", "/artifacts"), ("GET", "/artifacts/x")):
        problem(bob.request(method, f"/jobs/{job['id']}{path}"), 404)
    assert bob.ok("GET", "/jobs")["items"] == []
    assert [j["id"] for j in ada.ok("GET", "/jobs")["items"]] == [job["id"]]
    token = bob.ok("POST", "/tokens", json={"name": "watch"}, status=201)["token"]

    async def body(s):
        for topic in ("state", "metrics", "logs"):
            await s.ask("subscribe", f"job/{job['id']}/{topic}", since=0)
            assert (await s.get())["op"] == "error"
    stream(yard, body, token)
    yard.wait_job(job["id"])
    viewer = yard.person("eve-jobs", "viewer")
    problem(viewer.post("/jobs", json={"kind": "batch", "name": "x", "script": "#!/bin/sh\ntrue"}), 403)
    problem(bob.post("/nodes/n1/drain", json={"reason": "mine"}), 403)


def test_a_drained_node_finishes_what_it_has_and_starts_nothing(yard):
    running = batch(yard.api, "sleep 2")
    yard.wait_job(running["id"], ("RUNNING",))
    node = yard.api.ok("POST", "/nodes/n1/drain", json={"reason": "new disks"})
    assert node["state"] == "drained" and node["reason"] == "new disks"
    waiting = batch(yard.api, "true")
    yard.wait_job(running["id"])
    job = yard.api.ok("GET", f"/jobs/{waiting['id']}")
    assert job["state"] == "PENDING" and job["reason"]
    yard.api.ok("POST", "/nodes/n1/resume")
    yard.wait_job(waiting["id"])
    problem(yard.api.post("/nodes/nowhere/drain", json={"reason": ""}), 404, "nowhere")


def test_the_stream_has_every_state_and_line_once_also_for_who_comes_late(yard):
    job = batch(yard.api, "for i in $(seq 200); do echo line $i; done; sleep 1; for i in $(seq 201 300); do echo line $i; done")["id"]

    async def body(s):
        await s.ask("subscribe", f"job/{job}/logs", since=0)
        assert (await s.get())["op"] == "subscribed"
        lines, last = [], 0
        while len(lines) < 300:
            m = await s.get(60)
            assert m["op"] == "event" and m["seq"] > last
            last = m["seq"]
            lines.append(m["data"]["record"]["text"])
        assert lines == [f"line {i}" for i in range(1, 301)]
        middle = last - 50
        await s.ask("unsubscribe", f"job/{job}/logs")
        await s.get()
        await s.ask("subscribe", f"job/{job}/logs", since=middle)
        await s.get()
        assert [(await s.get(20))["seq"] for _ in range(50)] == list(range(middle + 1, last + 1))
        await s.ask("subscribe", f"job/{job}/state", since=0)
        assert (await s.get())["op"] == "subscribed"
        states = []
        while not states or states[-1] != "COMPLETED":
            states.append((await s.get(30))["data"]["state"])
        assert states == ["PENDING", "STARTING", "RUNNING", "COMPLETING", "COMPLETED"]
    stream(yard, body)


def test_many_small_jobs_all_run(yard):
    ids = [batch(yard.api, f"echo {i}")["id"] for i in range(30)]
    for i, job in enumerate(ids):
        yard.wait_job(job, seconds=120)
        assert texts(yard, job) == [str(i)]
    assert not processes_in(yard.dir)


def test_memory_over_the_limit_is_named_where_the_machine_can_limit_it(yard):
    job = batch(yard.api, "x=$(head -c 300000000 /dev/zero | tr '\\0' 'x'); echo ${#x}", resources={"ranks": 1, "memory_bytes": 64 << 20})
    done = yard.wait_job(job["id"], ("OUT_OF_MEMORY", "COMPLETED", "FAILED"))
    if done["state"] == "COMPLETED":
        pytest.skip("no memory cgroup can be made on this machine")
    assert done["state"] == "OUT_OF_MEMORY" and done["failure"]["message"]


def test_a_lost_node_gives_its_job_to_another(own_cluster):
    c = own_cluster(agents=0, orchestrator_args=("--node-timeout", "2s"))
    c.add_agent("a", 2)
    job = c.api.ok("POST", "/jobs", json={"kind": "batch", "name": "wanderer", "script": "#!/bin/sh\necho on $SLURMD_NODENAME; sleep 4; echo done"}, status=201)["id"]
    c.wait_job(job, ("RUNNING",))
    c.add_agent("b", 2)
    c.agents["a"].kill()
    c.wait_job(job, ("COMPLETED",), seconds=60)
    end = c.api.ok("GET", f"/jobs/{job}")
    assert end["attempt"] == 2 and end["nodes"] == ["b"]
    assert c.node("a")["state"] == "down"
    logs = [(l["attempt"], l["record"]["text"]) for l in all_items(c.api, f"/jobs/{job}/logs")]
    assert [t for a, t in logs if a == 2] == ["on b", "done"]
    # The old agent comes back with the old attempt: it is told to end it, and none of its words count.
    c.agents["a"].start()
    wait_until("a to be up again", lambda: c.node("a")["state"] == "up")
    wait_until("the old attempt to be gone", lambda: not processes_in(c.dir / "a"))
    later = [(l["attempt"], l["record"]["text"]) for l in all_items(c.api, f"/jobs/{job}/logs")]
    assert later == logs and c.api.ok("GET", f"/jobs/{job}")["attempt"] == 2
