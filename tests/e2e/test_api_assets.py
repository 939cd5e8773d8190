"""Assets: uploads in every form, versions, what is refused and how, downloads, deletion."""
import base64
import gzip
import hashlib
import io
import json
import os
import struct
import tarfile

import pytest

from checked import CheckedApi, problem, server  # noqa: F401
from conftest import ROOT, wait_until

EXAMPLES = ROOT / "docs" / "examples" / "digits"
ALGORITHM = (EXAMPLES / "algorithm.json").read_bytes()
MODEL = (EXAMPLES / "model.json").read_bytes()
LAYER = (EXAMPLES / "conv_block.json").read_bytes()
CSV = b"x,y,label\n" + b"".join(b"%d,%d,%s\n" % (i, i * i % 7, b"ab"[i % 2:i % 2 + 1]) for i in range(200))
TUS = {"Tus-Resumable": "1.0.0"}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def idx(samples, rows=28, cols=28):
    images = struct.pack(">IIII", 0x803, samples, rows, cols) + bytes(i % 251 for i in range(samples * rows * cols))
    labels = struct.pack(">II", 0x801, samples) + bytes(i % 10 for i in range(samples))
    return images, labels


def tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as t:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


def digits_tar(samples=50):
    files = {}
    for part, n in (("train", samples), ("t10k", samples // 2)):
        files[f"{part}-images-idx3-ubyte"], files[f"{part}-labels-idx1-ubyte"] = idx(n)
    return tar(files)


@pytest.fixture(scope="module")
def task(server):
    server.api.ok("POST", "/tasks", json={"name": "t", "type": "classification"}, status=201)
    server.api.ok("POST", "/tasks/t/layers?name=conv_block", data=LAYER, status=201)
    return "t"


def test_the_bytes_come_back_as_they_were(server, task):
    a = server.api.ok("POST", "/tasks/t/algorithms?name=bytes&description=first", data=ALGORITHM, status=201)
    assert a["digest"] == digest(ALGORITHM) and a["size"] == len(ALGORITHM) and a["description"] == "first" and a["version"] == 1
    assert a["verification"]["ok"] and a["verification"]["checks"]
    r = server.api.get("/tasks/t/algorithms/bytes/content")
    assert r.content == ALGORITHM
    assert r.headers["ETag"] == f'"{a["digest"]}"' and "attachment" in r.headers["Content-Disposition"]
    assert r.headers["X-Content-Type-Options"] == "nosniff" and "sandbox" in r.headers["Content-Security-Policy"]
    assert server.api.get("/tasks/t/algorithms/bytes/content", headers={"If-None-Match": r.headers["ETag"]}).status_code == 304
    part = server.api.get("/tasks/t/algorithms/bytes@1/content", headers={"Range": "bytes=3-9"})
    assert part.status_code == 206 and part.content == ALGORITHM[3:10]
    assert server.api.ok("GET", "/tasks/t/algorithms/bytes/verification") == a["verification"]


def test_versions_count_up_and_the_same_bytes_are_one(server, task):
    first = server.api.ok("POST", "/tasks/t/algorithms?name=v", data=ALGORITHM, status=201)
    same = server.api.post("/tasks/t/algorithms?name=v", data=ALGORITHM)
    assert same.status_code == 200 and same.json() == first
    second = server.api.ok("POST", "/tasks/t/algorithms?name=v", data=ALGORITHM + b"\n", status=201)
    assert second["version"] == 2 and second["url"].endswith("/algorithms/v@2")
    assert server.api.ok("GET", "/tasks/t/algorithms/v")["version"] == 2
    assert server.api.ok("GET", "/tasks/t/algorithms/v@1")["digest"] == first["digest"]
    problem(server.api.get("/tasks/t/algorithms/v@3"), 404)
    problem(server.api.delete("/tasks/t/algorithms/v"), 400, "version")
    server.api.ok("DELETE", "/tasks/t/algorithms/v@2", status=204)
    third = server.api.ok("POST", "/tasks/t/algorithms?name=v", data=ALGORITHM + b"\n\n", status=201)
    assert third["version"] == 3, "a number is never given twice"
    everything = server.api.ok("GET", "/tasks/t/algorithms?versions=all&limit=500")["items"]
    assert [a["version"] for a in everything if a["name"] == "v"] == [3, 1]
    newest = server.api.ok("GET", "/tasks/t/algorithms")["items"]
    assert [a["version"] for a in newest if a["name"] == "v"] == [3]


def test_content_in_json_is_kept_as_the_very_text(server, task):
    text = ALGORITHM.decode().strip().replace("{", "{\n\t ", 1)
    body = '{ "name": "inline", "content" :\n %s , "metadata": {"by": "hand"} }' % text
    a = server.api.ok("POST", "/tasks/t/algorithms", data=body.encode(), headers={"Content-Type": "application/json"}, status=201)
    assert a["digest"] == digest(text.encode()) and a["metadata"] == {"by": "hand"}
    assert server.api.get("/tasks/t/algorithms/inline/content").content == text.encode()


def test_a_model_uses_the_layers_of_its_task(server, task):
    m = server.api.ok("POST", "/tasks/t/models?name=cnn", data=MODEL, status=201)
    graph = server.api.ok("GET", "/tasks/t/models/cnn/graph")
    assert graph["nodes"] and graph["edges"]
    assert m["verification"]["summary"]["graph"] == graph
    listed = server.api.ok("GET", "/tasks/t/models")["items"]
    assert "graph" not in listed[0]["verification"]["summary"], "lists come without the long parts"
    server.api.ok("POST", "/tasks", json={"name": "empty"}, status=201)
    body = problem(server.api.post("/tasks/empty/models?name=cnn", data=MODEL), 422, "conv_block")
    assert body["verification"]["ok"] is False
    assert server.api.ok("POST", "/verify/model?task=t", data=MODEL)["ok"] is True
    assert server.api.ok("POST", "/verify/model?task=empty", data=MODEL)["ok"] is False
    assert server.api.ok("POST", "/verify/model", data=MODEL)["ok"] is False
    problem(server.api.post("/verify/model?task=emty", data=MODEL), 404, "did you mean \"empty\"")


def test_a_dataset_is_packed_and_previewed(server, task):
    data = digits_tar()
    d = server.api.ok("POST", "/tasks/t/datasets?name=digits", data=data, status=201)
    assert d["digest"] == digest(data)
    assert server.api.ok("GET", "/tasks/t/datasets/digits/preview")["samples"]
    assert server.api.get("/tasks/t/datasets/digits/content").content == data
    table = server.api.ok("POST", "/tasks/t/datasets?name=table&metadata=" + json.dumps({"target": "label"}), data=CSV, status=201)
    assert table["metadata"] == {"target": "label"}
    again = server.api.ok("POST", "/tasks/t/datasets?name=table&metadata=" + json.dumps({"target": "y", "task_type": "regression"}), data=CSV, status=201)
    assert again["version"] == 2, "the same bytes read in another way are another dataset"


def test_do_they_fit(server, task):
    server.api.post("/tasks/t/algorithms?name=adamw", data=ALGORITHM)
    server.api.post("/tasks/t/models?name=cnn", data=MODEL)
    server.api.post("/tasks/t/datasets?name=digits", data=digits_tar())
    fit = {"task": "t", "dataset": "digits@1", "algorithm": "adamw", "model": "cnn", "ranks": 2}
    v = server.api.ok("POST", "/verify/fit", json=fit)
    assert v["kind"] == "fit" and v["ok"], v
    problem(server.api.post("/verify/fit", json={**fit, "model": "cnm"}), 404, "did you mean \"cnn\"")
    problem(server.api.post("/verify/fit", json={**fit, "ranks": 0}), 400, "ranks")
    bad = server.api.ok("POST", "/verify/fit", json={**fit, "overrides": {"/epochs": -3}})
    assert bad["ok"] is False
    small = json.loads(MODEL)
    small["inputs"][0]["shape"] = [1, 20, 20]
    server.api.ok("POST", "/tasks/t/models?name=small", data=json.dumps(small).encode(), status=201)
    assert server.api.ok("POST", "/verify/fit", json={**fit, "model": "small"})["ok"] is False


def state_files(server):
    return sorted(str(p) for d in ("blobs", "tmp", "uploads") for p in (server.state / d).rglob("*") if p.is_file())


HOSTILE = {
    "empty object": b"{}",
    "not json": b"hello",
    "binary": os.urandom(5000),
    "nul bytes": b'{"format":"trainyard.model/1"}\0\0',
    "deep": b"[" * 100_000,
    "deep object": b'{"a":' * 60_000 + b"1" + b"}" * 60_000,
    "duplicate keys": b'{"format":"trainyard.model/1","format":"trainyard.model/1"}',
    "invalid utf-8": b'{"format":"\xff\xfe"}',
    "huge shape": b'{"format":"trainyard.model/1","name":"x","inputs":[{"name":"i","shape":[9223372036854775807,9223372036854775807],"dtype":"uint8"}],'
                  b'"layers":[{"name":"d","type":"dense","inputs":["i"],"config":{"units":16777216}}],"outputs":["d"]}',
    "huge number": b'{"format":"trainyard.model/1","name":"x","inputs":[{"name":"i","shape":[1e999],"dtype":"uint8"}],"layers":[],"outputs":["i"]}',
    "a long name": b'{"format":"trainyard.model/1","name":"' + b"x" * 1_000_000 + b'"}',
}


@pytest.mark.parametrize("kind", ["algorithms", "layers", "models"])
@pytest.mark.parametrize("what", HOSTILE)
def test_broken_json_files_are_refused_with_findings_and_leave_nothing(server, task, kind, what):
    before = state_files(server)
    body = problem(server.api.post(f"/tasks/t/{kind}?name=bad", data=HOSTILE[what]), 422)
    assert body["errors"] and all(e["message"] for e in body["errors"])
    assert body["verification"]["ok"] is False
    problem(server.api.get(f"/tasks/t/{kind}/bad"), 404)
    assert state_files(server) == before


BAD_DATA = {
    "binary": os.urandom(20000),
    "truncated idx": idx(50)[0][:1000],
    "idx that claims terabytes": struct.pack(">IIII", 0x803, 0x7fffffff, 0x7fffffff, 0x7fffffff) + b"x" * 100,
    "tar that climbs": tar({"../../../../tmp/evil": b"x"}),
    "truncated gzip": gzip.compress(CSV)[:200],
    "ragged csv": b"a,b\n1,2\n3\n4,5,6\n",
    "only a header": b"a,b,c\n",
    "half a tar": digits_tar()[:30000],
}


@pytest.mark.parametrize("what", BAD_DATA)
def test_broken_datasets_are_refused_and_leave_nothing(server, task, what):
    before = state_files(server)
    r = server.api.post("/tasks/t/datasets?name=bad", data=BAD_DATA[what])
    body = problem(r, 422)
    assert body["errors"]
    assert state_files(server) == before
    assert not os.path.exists("/tmp/evil")


def test_a_gzip_bomb_is_stopped_by_the_limits(server, task):
    bomb = gzip.compress(b"0," * 150_000_000, 9)
    before = state_files(server)
    r = server.api.post("/tasks/t/datasets?name=bomb", data=bomb, timeout=400)
    problem(r, 422)
    assert state_files(server) == before


def test_requests_that_make_no_sense(server, task):
    problem(server.api.post("/tasks/t/models", data=b"x"), 400, "?name=")
    problem(server.api.post("/tasks/t/models?name=a%2Fb", data=b"{}"), 400, "name")
    problem(server.api.post("/tasks/t/models?name=x&metadata=[1]", data=b"{}"), 400, "object")
    problem(server.api.post("/tasks/t/models?name=x", data=b""), 400, "empty")
    problem(server.api.post("/tasks/t/models", json={"name": "x"}), 400, "content")
    problem(server.api.post("/tasks/t/datasets", json={"name": "x", "content": {}}), 400, "raw bytes")
    problem(server.api.post("/tasks/t/models", json={"name": "x", "content": "text"}), 400, "object")
    problem(server.api.post("/tasks/t/sets?name=x", data=b"{}"), 404, "datasets")
    problem(server.api.post("/tasks/tt/models?name=x", data=b"{}"), 404, "did you mean \"t\"")
    problem(server.api.post("/tasks/t/models?name=x", data=b" " * (16 << 20) + b" "), 413)


def test_a_resumable_upload_becomes_a_dataset(server, task):
    data = digits_tar(300)
    meta = base64.b64encode(b"digits.tar").decode()
    r = server.api.post("/uploads", headers={**TUS, "Upload-Length": str(len(data)), "Upload-Metadata": f"filename {meta}"})
    assert r.status_code == 201
    place = r.headers["Location"].removeprefix("/api/v1")
    patch = {**TUS, "Content-Type": "application/offset+octet-stream"}
    half = len(data) // 2
    r = server.api.request("PATCH", place, data=data[:half], headers={**patch, "Upload-Offset": "0"})
    assert r.status_code == 204 and r.headers["Upload-Offset"] == str(half)
    upload = place.split("/")[-1]
    problem(server.api.post("/tasks/t/datasets", json={"name": "tus", "upload": upload}), 409, "not complete")
    problem(server.api.request("PATCH", place, data=b"x", headers={**patch, "Upload-Offset": "0"}), 409, str(half))
    server.orchestrator.kill()  # what was written survives
    server.orchestrator.start()
    server.wait_ready()
    r = server.api.request("HEAD", place, headers=TUS)
    assert r.status_code == 200 and r.headers["Upload-Offset"] == str(half) and r.headers["Upload-Length"] == str(len(data))
    assert r.headers["Upload-Metadata"] == f"filename {meta}"
    stranger = server.person("tus-stranger")
    assert stranger.request("HEAD", place, headers=TUS).status_code == 404
    problem(stranger.request("PATCH", place, data=b"x", headers={**patch, "Upload-Offset": str(half)}), 404)
    r = server.api.request("PATCH", place, data=data[half:], headers={**patch, "Upload-Offset": str(half)})
    assert r.status_code == 204
    d = server.api.ok("POST", "/tasks/t/datasets", json={"name": "tus", "upload": upload}, status=201)
    assert d["digest"] == digest(data) and d["size"] == len(data)
    assert server.api.request("HEAD", place, headers=TUS).status_code == 404, "it is used up"
    assert not list((server.state / "uploads").iterdir())


def test_an_upload_takes_no_more_than_it_said(server, task):
    r = server.api.post("/uploads", headers={**TUS, "Upload-Length": "10"})
    place = r.headers["Location"].removeprefix("/api/v1")
    patch = {**TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    problem(server.api.request("PATCH", place, data=b"x" * 11, headers=patch), 413)
    problem(server.api.request("PATCH", place, data=b"x", headers={**patch, "Content-Type": "text/plain"}), 415)
    assert server.api.request("PATCH", place, data=b"x", headers={k: v for k, v in patch.items() if k != "Tus-Resumable"}).status_code == 412
    assert server.api.request("DELETE", place, headers=TUS).status_code == 204
    assert server.api.request("HEAD", place, headers=TUS).status_code == 404
    for length in ("-1", "x", "", "99999999999999999999"):
        assert server.api.post("/uploads", headers={**TUS, "Upload-Length": length}).status_code in (400, 413)


def test_what_is_deleted_leaves_the_disk(own_cluster):
    c = own_cluster(agents=0, orchestrator_args=("--blob-grace", "0"))
    api = CheckedApi(c.url, c.token)
    for name in ("one", "two"):
        api.ok("POST", "/tasks", json={"name": name}, status=201)
        api.ok("POST", f"/tasks/{name}/algorithms?name=a", data=ALGORITHM, status=201)
    api.ok("POST", "/tasks/one/datasets?name=d", data=CSV, status=201)
    path = c.state / "blobs" / digest(ALGORITHM)[:2] / digest(ALGORITHM)[2:]
    orphan = c.state / "blobs" / "00" / ("0" * 62)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"x")
    assert path.exists()
    api.ok("DELETE", "/tasks/one", status=204)
    c.orchestrator.stop()
    c.orchestrator.start()
    c.wait_ready()
    csv = c.state / "blobs" / digest(CSV)[:2] / digest(CSV)[2:]
    wait_until("unused blobs to go", lambda: not csv.exists() and not orphan.exists())
    assert path.exists() and api.get("/tasks/two/algorithms/a/content").content == ALGORITHM, "what another task uses stays"
    api.ok("POST", "/tasks/two/datasets?name=d", data=CSV, status=201)
    assert api.get("/tasks/two/datasets/d/content").content == CSV
