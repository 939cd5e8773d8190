"""The API of jobs: what may be asked in every state and by whom, and what is said when it may not. How jobs run: test_jobs.py."""
import pytest

from checked import CheckedApi, problem, server  # noqa: F401
from conftest import wait_until
from test_whole_way import all_items

SCRIPT = "#!/bin/sh\n"
# Ends when its job is cancelled, or when the test lets it: by a file, so that nothing depends on time.
WAITS = SCRIPT + 'echo begun $SLURM_JOB_ID\nwhile [ ! -e "$GATE" ]; do sleep 0.05; done\necho done\n'


@pytest.fixture(scope="module")
def site(server):  # noqa: F811
    server.add_agent("n1", cores=2)
    return server


def submit(api, script=WAITS, **more):
    return api.ok("POST", "/jobs", json={"script": script, **more}, status=201)


def gated(site, name, **more):
    """A job that runs until open_gate(name)."""
    return submit(site.api, environment={"GATE": str(site.dir / name)}, name=name, **more)["id"]


def open_gate(site, name):
    (site.dir / name).touch()


def blocked(site, name):
    """A running job that holds the node whole; what is submitted after it waits."""
    job = gated(site, name, resources={"cores_per_rank": 2})
    site.wait_job(job, ("RUNNING",))
    return job


def lines(api, job):
    return [m["record"]["text"] for m in all_items(api, f"/jobs/{job}/logs")]


def moves(api, job):
    return [(e["event"], e["to"]) for e in api.ok("GET", f"/jobs/{job}/events?limit=100")["items"]]


# --- a batch script ---------------------------------------------------------------------------------------


def test_a_batch_script_runs_with_its_arguments_and_environment(site):
    job = submit(site.api, SCRIPT + 'echo "$1-$2-$COLOUR"; echo wrong >&2; exit 0\n', name="words", arguments=["a b", "$(c)"], environment={"COLOUR": "re d"})
    assert (job["state"], job["kind"], job["owner"], job["attempt"], job["reason"]) == ("PENDING", "batch", "admin", 0, "")
    done = site.wait_job(job["id"])
    assert done["exit_code"] == 0 and done["nodes"] == ["n1"] and done["failure"] is None
    assert sorted(lines(site.api, job["id"])) == ["a b-$(c)-re d", "wrong"]
    assert [e for e, _ in moves(site.api, job["id"])] [:2] == ["submit", "place"]
    assert moves(site.api, job["id"])[-1] == ("succeed", "COMPLETED")


# --- cancel, hold, release, requeue -----------------------------------------------------------------------


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(site):
    first = blocked(site, "gate-cancel")
    job = gated(site, "never")
    wait_until("the reason", lambda: "cores" in site.api.ok("GET", f"/jobs/{job}")["reason"])
    done = site.api.ok("POST", f"/jobs/{job}/cancel")
    assert done["state"] == "CANCELLED" and done["attempt"] == 0 and done["started"] is None and done["ended"]
    assert moves(site.api, job) == [("submit", "PENDING"), ("cancel", "CANCELLED")]
    problem(site.api.post(f"/jobs/{job}/cancel"), 409, "CANCELLED", "cancelled")
    open_gate(site, "gate-cancel")
    site.wait_job(first)
    assert lines(site.api, job) == []


def test_a_running_job_is_cancelled(site):
    job = gated(site, "never-2")
    site.wait_job(job, ("RUNNING",))
    assert site.api.ok("POST", f"/jobs/{job}/cancel")["state"] in ("COMPLETING", "CANCELLED")
    done = site.wait_job(job, ("CANCELLED",))
    assert done["attempt"] == 1 and done["ended"]
    assert site.node("n1")["jobs"] == [] and site.node("n1")["cores_used"] == 0


def test_a_job_cancelled_right_after_its_submission_ends_whatever_it_was_doing(site):
    """The cancel overtakes the placement's commit, the launch, the start, or nothing."""
    ids = [gated(site, "never-3") for _ in range(4)]
    for round in range(6):
        for _ in range(4):
            ids.append(gated(site, "never-3"))
            assert site.api.post(f"/jobs/{ids[-1]}/cancel").status_code == 200
    for job in ids[:4]:
        site.api.ok("POST", f"/jobs/{job}/cancel")
    for job in ids:
        site.wait_job(job, ("CANCELLED",))
    wait_until("the node to be empty", lambda: site.node("n1")["cores_used"] == 0 and site.node("n1")["jobs"] == [])


def test_a_held_job_waits_until_it_is_released(site):
    first = blocked(site, "gate-hold")
    job = submit(site.api, SCRIPT + "echo ran\n")["id"]
    held = site.api.ok("POST", f"/jobs/{job}/hold")
    assert held["held"] is True and held["reason"] == "held" and held["state"] == "PENDING"
    later = submit(site.api, SCRIPT + "echo later\n")["id"]
    open_gate(site, "gate-hold")
    site.wait_job(first)
    site.wait_job(later)
    assert site.api.ok("GET", f"/jobs/{job}")["state"] == "PENDING"
    assert site.api.ok("POST", f"/jobs/{job}/release")["held"] is False
    site.wait_job(job)
    for act in ("hold", "release"):
        problem(site.api.post(f"/jobs/{job}/{act}"), 409, "COMPLETED")


def test_requeue_runs_a_finished_job_again_as_its_next_attempt(site):
    job = submit(site.api, SCRIPT + 'echo "restart ${SLURM_RESTART_COUNT:-none}"\n')["id"]
    site.wait_job(job)
    again = site.api.ok("POST", f"/jobs/{job}/requeue")
    assert again["id"] == job and again["state"] in ("PENDING", "STARTING", "RUNNING")
    done = wait_until("the second end", lambda: (j := site.api.ok("GET", f"/jobs/{job}"))["attempt"] == 2 and j["ended"] and j)
    assert done["state"] == "COMPLETED"
    assert [e for e, _ in moves(site.api, job)].count("requeue") == 1
    assert len([e for e, _ in moves(site.api, job) if e == "place"]) == 2
    seqs = [m["seq"] for m in all_items(site.api, f"/jobs/{job}/logs")]
    assert seqs == [(1 << 40) | 1, (2 << 40) | 1], "each attempt's line once"


def test_requeue_is_refused_while_a_job_is_in_the_queue_or_runs(site):
    job = blocked(site, "gate-requeue")
    waiting = gated(site, "gate-requeue")
    problem(site.api.post(f"/jobs/{job}/requeue"), 409, "cancel it first")
    problem(site.api.post(f"/jobs/{waiting}/requeue"), 409, "PENDING")
    open_gate(site, "gate-requeue")
    site.wait_job(job)
    site.wait_job(waiting)


def test_a_cancelled_job_can_be_requeued_and_cancelled_again(site):
    first = blocked(site, "gate-twice")
    job = submit(site.api, SCRIPT + "echo once\n")["id"]
    for _ in range(3):
        assert site.api.ok("POST", f"/jobs/{job}/cancel")["state"] == "CANCELLED"
        assert site.api.ok("POST", f"/jobs/{job}/requeue")["state"] == "PENDING"
    open_gate(site, "gate-twice")
    site.wait_job(first)
    assert site.wait_job(job)["attempt"] == 1
    assert lines(site.api, job) == ["once"]


def test_a_clone_is_a_new_job_with_the_same_words(site):
    job = submit(site.api, SCRIPT + "echo $1 $X\n", name="original", arguments=["one"], environment={"X": "two"}, resources={"cores_per_rank": 2})["id"]
    site.wait_job(job)
    copy = site.api.ok("POST", f"/jobs/{job}/clone", status=201)
    assert copy["id"] > job and copy["resubmitted_from"] == job and copy["name"] == "original" and copy["resources"]["cores_per_rank"] == 2
    site.wait_job(copy["id"])
    assert lines(site.api, copy["id"]) == ["one two"]


# --- the same request twice -------------------------------------------------------------------------------


def test_an_idempotency_key_submits_once(site):
    body = {"script": SCRIPT + "echo keyed\n", "name": "keyed"}
    key = {"Idempotency-Key": "jobs-key-1"}
    one, two = (site.api.post("/jobs", json=body, headers=key) for _ in range(2))
    assert one.status_code == two.status_code == 201 and one.json()["id"] == two.json()["id"]
    assert one.headers["Location"] == two.headers["Location"] == f"/api/v1/jobs/{one.json()['id']}"
    site.wait_job(one.json()["id"])
    assert site.api.post("/jobs", json=body, headers=key).json()["id"] == one.json()["id"], "also when it is over"
    assert len([j for j in all_items(site.api, "/jobs") if j["name"] == "keyed"]) == 1
    assert site.api.post("/jobs", json={**body, "name": "other"}, headers=key).status_code in (409, 422)
    clones = [site.api.post(f"/jobs/{one.json()['id']}/clone", headers={"Idempotency-Key": "jobs-key-2"}).json()["id"] for _ in range(2)]
    assert clones[0] == clones[1] != one.json()["id"]
    site.wait_job(clones[0])


# --- whose job it is --------------------------------------------------------------------------------------


def test_jobs_of_others_are_not_there(site):
    ada, bob = site.person("jobs-ada"), site.person("jobs-bob")
    job = submit(ada, SCRIPT + "echo secret; echo x > out.txt\n", name="secret")["id"]
    site.wait_job(job)
    for path in ("", "/events", "/metrics", "/logs", "/artifacts", "/artifacts/out.txt"):
        problem(bob.get(f"/jobs/{job}{path}"), 404)
    for act in ("cancel", "hold", "release", "requeue", "resume", "clone"):
        problem(bob.post(f"/jobs/{job}/{act}"), 404)
    assert bob.ok("GET", "/jobs")["items"] == [] == bob.ok("GET", "/jobs?owner=jobs-ada")["items"]
    assert [j["id"] for j in ada.ok("GET", "/jobs")["items"]] == [job]
    assert job in [j["id"] for j in site.api.ok("GET", "/jobs?owner=jobs-ada")["items"]], "an operator sees all"
    assert ada.ok("GET", f"/jobs/{job}")["state"] == "COMPLETED", "and nothing of it came through"
    viewer = site.person("jobs-viewer", "viewer")
    problem(viewer.post("/jobs", json={"script": SCRIPT}), 403)
    problem(viewer.post(f"/jobs/{job}/cancel"), 403)
    nobody = CheckedApi(site.url)
    for path in (f"/jobs/{job}", "/jobs", f"/jobs/{job}/logs", "/nodes"):
        problem(nobody.get(path), 401)


def test_only_operators_raise_a_job_and_drain_a_node(site):
    ada = site.person("jobs-eve")
    problem(ada.post("/jobs", json={"script": SCRIPT, "priority": 1}), 403, "priority")
    problem(ada.post("/nodes/n1/drain", json={}), 403)
    problem(ada.post("/nodes/n1/resume", json={}), 403)


# --- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("body,words", [
    ({}, ("script",)),
    ({"script": ""}, ("#!",)),
    ({"script": "echo no interpreter\n"}, ("#!", "#!/bin/sh")),
    ({"script": 5}, ("script", "string")),
    ({"script": SCRIPT, "kind": "train"}, ("kind", "instances")),
    ({"script": SCRIPT, "scirpt": 1}, ("scirpt",)),
    ({"script": SCRIPT, "name": ""}, ("name", "1 to 200")),
    ({"script": SCRIPT, "name": "n" * 201}, ("name", "1 to 200")),
    ({"script": SCRIPT, "time_limit_seconds": -1}, ("time_limit_seconds",)),
    ({"script": SCRIPT, "time_limit_seconds": "1"}, ("time_limit_seconds",)),
    ({"script": SCRIPT, "priority": -1000001}, ("priority",)),
    ({"script": SCRIPT, "arguments": "a"}, ("arguments", "array")),
    ({"script": SCRIPT, "arguments": ["a", 1]}, ("argument 1", "string")),
    ({"script": SCRIPT, "environment": []}, ("environment", "object")),
    ({"script": SCRIPT, "environment": {"A=B": "c"}}, ("A=B",)),
    ({"script": SCRIPT, "environment": {"A": 1}}, ("A", "string")),
    ({"script": SCRIPT, "resources": []}, ("resources",)),
    ({"script": SCRIPT, "resources": {"ranks": 0}}, ("resources", "ranks", "1 to 1024", "0")),
    ({"script": SCRIPT, "resources": {"cores_per_rank": 4097}}, ("cores_per_rank", "4096")),
    ({"script": SCRIPT, "resources": {"memory_bytes": -1}}, ("memory_bytes",)),
    ({"script": SCRIPT, "resources": {"gpus_per_rank": 2}}, ("gpus_per_rank",)),
    ({"script": SCRIPT, "resources": {"cores": 1}}, ("cores",)),
    ({"script": SCRIPT, "resources": {"partition": "gpu"}}, ("partition", "gpu", "default")),
])
def test_a_submission_that_cannot_be_is_refused_with_its_reason(server, body, words):  # noqa: F811
    before = len(all_items(server.api, "/jobs"))
    answer = server.api.post("/jobs", json=body)
    assert answer.status_code in (400, 422)
    problem(answer, answer.status_code, *words)
    assert len(all_items(server.api, "/jobs")) == before


@pytest.mark.parametrize("id", ["0", "-1", "x", "1x", "99999999999999999999999", "1000000000", "%00", "1%20", "+1", "01"])
def test_ids_that_are_none_are_not_found(server, id):  # noqa: F811
    for method, path in (("GET", ""), ("GET", "/events"), ("GET", "/logs"), ("GET", "/metrics"), ("GET", "/artifacts"), ("POST", "/cancel"), ("POST", "/clone")):
        assert server.api.request(method, f"/jobs/{id}{path}").status_code in (400, 404), path


def test_listings_refuse_what_they_do_not_know(server):  # noqa: F811
    for query in ("limit=0", "limit=x", "limit=100000000", "cursor=x", "cursor=%ff"):
        assert server.api.get(f"/jobs?{query}").status_code in (400, 422), query


# --- the cluster ------------------------------------------------------------------------------------------


def test_a_job_that_fits_nowhere_says_so(site):
    job = submit(site.api, resources={"cores_per_rank": 3, "ranks": 5})["id"]
    wait_until("the reason", lambda: "15 cores" in site.api.ok("GET", f"/jobs/{job}")["reason"])
    site.api.ok("POST", f"/jobs/{job}/cancel")
