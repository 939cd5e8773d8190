"""The whole way of the data, by the HTTP API: upload, verification, run on two ranks, live metrics, results."""
import hashlib
import io
import json
import pathlib
import struct
import tarfile

import pytest

from conftest import ROOT, wait_until

EXAMPLES = ROOT / "docs" / "examples" / "digits"


def tar_of(folder):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as t:
        for f in sorted(pathlib.Path(folder).glob("*.gz")):
            t.add(f, arcname=f.name)
    return out.getvalue()


@pytest.fixture(scope="module")
def task(cluster, digits):
    """A task with one asset of each kind."""
    api = cluster.api
    api.ok("POST", "/tasks", json={"name": "digits", "description": "drawn", "type": "classification", "labels": []})
    api.ok("POST", "/tasks/digits/datasets?name=digits", data=tar_of(digits), status=201)
    for kind, name, file in (("algorithms", "adamw", "algorithm.json"), ("layers", "conv_block", "conv_block.json"), ("models", "cnn", "model.json")):
        asset = api.ok("POST", f"/tasks/digits/{kind}?name={name}", data=(EXAMPLES / file).read_bytes(), status=201)
        assert asset["verification"]["ok"] is True
        assert asset["verification"]["checks"], "a verification lists what it checked"
        assert asset["digest"] == hashlib.sha256((EXAMPLES / file).read_bytes()).hexdigest()
    return "digits"


def submit(api, **kw):
    body = {"name": "run", "dataset": "digits", "algorithm": "adamw", "model": "cnn", "resources": {"ranks": 2}, "overrides": {"/epochs": 2}}
    return api.ok("POST", "/tasks/digits/instances", json={**body, **kw}, status=201)


def all_items(api, path):
    items, cursor = [], None
    while True:
        page = api.ok("GET", path + ("&" if "?" in path else "?") + "limit=50" + (f"&cursor={cursor}" if cursor else ""))
        items += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            return items


def test_uploaded_bytes_come_back_whole(cluster, task, digits):
    asset = cluster.api.ok("GET", f"/tasks/{task}/datasets/digits")
    content = cluster.api.ok("GET", f"/tasks/{task}/datasets/digits/content")
    assert hashlib.sha256(content).hexdigest() == asset["digest"]
    part = cluster.api.get(f"/tasks/{task}/datasets/digits/content", headers={"Range": "bytes=100-199"})
    assert part.status_code == 206 and part.content == content[100:200]


def test_a_run_on_two_ranks_learns_and_leaves_results(cluster, task):
    api = cluster.api
    job = submit(api)
    assert job["state"] == "PENDING" and job["kind"] == "train"
    done = cluster.wait_job(job["id"], seconds=180)
    assert done["exit_code"] == 0 and done["attempt"] == 1 and done["nodes"] == ["n1"]

    metrics = all_items(api, f"/jobs/{job['id']}/metrics")
    seqs = [m["seq"] for m in metrics]
    assert seqs == sorted(set(seqs)), "in order, none twice"
    assert [s & (2**40 - 1) for s in seqs] == list(range(1, len(seqs) + 1)), "every line of the file, none missing"
    records = [m["record"] for m in metrics]
    assert records[0]["kind"] == "start" and records[0]["ranks"] == 2
    assert records[-1]["kind"] == "end"
    evals = [r["values"] for r in records if r["kind"] == "eval"]
    assert len(evals) == 2
    assert evals[-1]["accuracy"] > 0.8, "two epochs on drawn digits learn something"

    events = api.ok("GET", f"/jobs/{job['id']}/events")["items"]
    assert [e["to"] for e in events][-1] == "COMPLETED"
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))

    names = {}
    for a in api.ok("GET", f"/jobs/{job['id']}/artifacts")["items"]:
        body = api.ok("GET", f"/jobs/{job['id']}/artifacts/{a['name']}")
        body = body if isinstance(body, bytes) else api.get(f"/jobs/{job['id']}/artifacts/{a['name']}").content
        assert hashlib.sha256(body).hexdigest() == a["digest"] and len(body) == a["size"]
        names[a["name"]] = body
    assert {"weights.safetensors", "model.json", "algorithm.json", "report.json"} <= set(names)
    header_len = struct.unpack("<Q", names["weights.safetensors"][:8])[0]
    header = json.loads(names["weights.safetensors"][8:8 + header_len])
    assert sum(1 for k in header if k != "__metadata__") >= 4
    report = json.loads(names["report.json"])
    assert report["ranks"] == 2


def test_a_model_that_does_not_fit_the_data_is_refused_before_it_queues(cluster, task):
    api = cluster.api
    model = json.loads((EXAMPLES / "model.json").read_text())
    model["inputs"][0]["shape"] = [1, 20, 20]
    r = api.post(f"/tasks/{task}/models?name=small", data=json.dumps(model).encode())
    assert r.status_code == 201, r.text
    r = api.post(f"/tasks/{task}/instances", json={"name": "no", "dataset": "digits", "algorithm": "adamw", "model": "small", "resources": {"ranks": 1}})
    assert r.status_code == 422
    assert "20" in r.text and "28" in r.text, "both shapes are named"


def test_a_broken_model_is_answered_with_the_very_place(cluster, task):
    text = (EXAMPLES / "model.json").read_text().replace('"dense"', '"dens"', 1)
    line = next(i for i, l in enumerate(text.splitlines(), 1) if '"dens"' in l)
    r = cluster.api.post(f"/tasks/{task}/models?name=broken", data=text.encode())
    assert r.status_code == 422 and r.headers["Content-Type"].startswith("application/problem+json")
    errors = r.json()["errors"]
    assert any(e["line"] == line and e["pointer"].startswith("/layers/") for e in errors), errors
    assert "dense" in r.text, "the nearest known type is offered"
    assert cluster.api.get(f"/tasks/{task}/models/broken").status_code == 404, "what failed is not kept"


def test_a_run_whose_parts_do_not_fit_is_refused_with_the_part_that_is_wrong(cluster, task):
    body = {"name": "run", "dataset": "digits", "algorithm": "adamw", "model": "cnn", "resources": {"ranks": 2}}
    r = cluster.api.post(f"/tasks/{task}/instances", json={**body, "overrides": {"/optimizer/learning_rate": -1}})
    (error,) = r.json()["errors"]
    assert r.status_code == 422 and error["subject"] == "override" and error["pointer"] == "/optimizer/learning_rate"
    assert error["line"] == 0, "the value did not come from the file"
    r = cluster.api.post(f"/tasks/{task}/instances", json={**body, "resources": {"ranks": 1000}})
    (error,) = r.json()["errors"]
    assert r.status_code == 422 and error["subject"] == "algorithm" and error["pointer"] == "/batch_size" and error["line"] > 1


def test_cancel_ends_every_process(cluster, task):
    api = cluster.api
    job = submit(api, overrides={"/epochs": 500})
    cluster.wait_job(job["id"], ("RUNNING",))
    wait_until("a metric", lambda: api.ok("GET", f"/jobs/{job['id']}/metrics?limit=1")["items"])
    api.ok("POST", f"/jobs/{job['id']}/cancel", status=200)
    cluster.wait_job(job["id"], ("CANCELLED",))
    assert not processes_in(cluster.dir), "no process is left"


def processes_in(folder):
    """Trainer, mpirun and shepherd processes that work in the folder."""
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            cmdline = (p / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            cwd = str((p / "cwd").resolve())
        except OSError:
            continue
        if (cwd.startswith(str(folder)) or str(folder) in cmdline) and any(w in cmdline for w in ("trainyard-train", "mpirun", "orted", "shepherd")):
            found.append((p.name, cmdline))
    return found


def test_jobs_wait_their_turn(cluster, task):
    """Two jobs of two cores on a node of two: the second starts when the first has ended."""
    first, second = submit(cluster.api, name="first"), submit(cluster.api, name="second")
    cluster.wait_job(first["id"], ("RUNNING",))
    waiting = cluster.api.ok("GET", f"/jobs/{second['id']}")
    assert waiting["state"] == "PENDING" and waiting["reason"], "and says why it waits"
    cluster.wait_job(second["id"], seconds=240)
    a, b = (cluster.api.ok("GET", f"/jobs/{j['id']}") for j in (first, second))
    assert a["state"] == "COMPLETED" and a["ended"] <= b["started"]
