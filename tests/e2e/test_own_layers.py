"""A layer written as a program, the whole way: proven on upload in the cage, refused when wrong, trained on two ranks."""
import json

from checked import problem
from conftest import ROOT
from test_whole_way import EXAMPLES, submit, task  # noqa: F401  (a task with one asset of each kind)

LAYERS = ROOT / "docs" / "examples" / "layers"


def test_a_layer_of_ones_own_is_proven_and_trained(cluster, task):  # noqa: F811
    api = cluster.api
    for name in ("prelu", "blur_pool"):
        asset = api.ok("POST", f"/tasks/{task}/layers?name={name}", data=(LAYERS / f"{name}.json").read_bytes(), status=201)
        checks = {c["name"]: c["status"] for c in asset["verification"]["checks"]}
        assert checks["layer.gradient"] == "passed" and checks["layer.run"] == "passed"
        assert asset["verification"]["summary"]["backward"] == "derived"
    model = json.loads((EXAMPLES / "model.json").read_text())
    relu = next(i for i, l in enumerate(model["layers"]) if l["type"] == "relu")
    model["layers"].insert(1, {"name": "blur", "type": "blur_pool", "inputs": [model["layers"][0]["name"]]})
    model["layers"][2]["inputs"] = ["blur"]
    assert relu
    api.ok("POST", f"/tasks/{task}/models?name=own", data=json.dumps(model).encode(), status=201)
    job = submit(api, model="own", overrides={"/epochs": 1})
    cluster.wait_job(job["id"], seconds=240)
    metrics = api.ok("GET", f"/jobs/{job['id']}/metrics?limit=500")["items"]
    assert [m["record"]["values"]["accuracy"] for m in metrics if m["record"]["kind"] == "eval"][-1] > 0.3


def test_a_wrong_gradient_is_refused_with_its_line(cluster, task):  # noqa: F811
    layer = json.loads((LAYERS / "bilinear.json").read_text())
    layer["kernel"]["backward"][2] = "        da[i] += dy[o] * w[o][i][k];"
    r = cluster.api.post(f"/tasks/{task}/layers?name=wrong", data=json.dumps(layer, indent=1).encode())
    body = problem(r, 422)
    assert any("finite differences" in e["message"] and e["pointer"] == "/kernel/backward" for e in body["errors"]), body["errors"]
    assert cluster.api.get(f"/tasks/{task}/layers/wrong").status_code == 404
