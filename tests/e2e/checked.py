"""A client that holds every reply against docs/openapi.json, and a server without agents to use it on."""
import json
import re

import pytest
from jsonschema import Draft202012Validator

from conftest import ROOT, Api, Cluster

SPEC = json.loads((ROOT / "docs" / "openapi.json").read_text())


def _pattern(path):
    # The only parameter that may hold slashes is an artifact's name.
    last = path.endswith("/artifacts/{name}")
    text = re.sub(r"\\{(\w+)\\}", "[^/]+", re.escape(path))
    return re.compile("^" + (text[:-len("[^/]+")] + ".+" if last else text) + "$")


# Paths with fewer parameters first: "/verify/fit" before "/verify/{kind}".
PATHS = sorted(((p.count("{"), _pattern(p), p) for p in SPEC["paths"]), key=lambda x: x[0])


def described(method, path):
    for _, pattern, template in PATHS:
        if pattern.match(path):
            found = SPEC["paths"][template].get(method.lower())
            if found or method != "HEAD":
                return found
            return SPEC["paths"][template].get("get")
    return None


def schema_of(response):
    """The schema that a reply must fit, None when it needs no body; fails when the reply is not described at all."""
    path = response.request.path_url.split("?")[0]
    method = response.request.method
    operation = described(method, path)
    kind = response.headers.get("Content-Type", "").split(";")[0]
    if operation is None:
        assert response.status_code in (401, 404, 405) or method == "OPTIONS", f"{method} {path} is not in openapi.json: {response.status_code}"
        return {"$ref": "#/components/schemas/Problem"} if kind == "application/problem+json" else None
    answer = operation["responses"].get(str(response.status_code))
    if answer is None:
        assert response.status_code >= 400, f"{method} {path}: {response.status_code} is not described"
        answer = operation["responses"]["default"]
    content = answer.get("content", {})
    if method == "HEAD" or not response.content:
        return None
    assert kind in content or not content, f"{method} {path}: {kind} is not among {list(content)}"
    return content.get(kind, {}).get("schema")


class CheckedApi(Api):
    def request(self, method, path, **kwargs):
        response = super().request(method, path, **kwargs)
        schema = schema_of(response)
        if schema and "json" in response.headers.get("Content-Type", ""):
            validator = Draft202012Validator({**schema, "components": SPEC["components"]})
            errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:400]}" for e in validator.iter_errors(response.json())]
            assert not errors, f"{method} {path} {response.status_code}: the reply is not what openapi.json says: {errors[:5]}\n{response.text[:600]}"
        return response


def problem(response, status, *words):
    """The reply is a problem of this status whose detail has these words."""
    assert response.status_code == status, f"{response.status_code} {response.text[:1000]}"
    assert response.headers["Content-Type"].split(";")[0] == "application/problem+json"
    body = response.json()
    assert body["status"] == status and body["title"] and body["detail"]
    for word in words:
        assert word in body["detail"], body["detail"]
    return body


@pytest.fixture(scope="module")
def server(postgres):
    """One orchestrator without agents; .api is the admin, .person(name, role) somebody else."""
    cluster = Cluster(postgres, agents=0)
    cluster.api = CheckedApi(cluster.url, cluster.token)

    def person(name, role="user"):
        cluster.api.ok("POST", "/users", json={"name": name, "password": "correct horse " + name, "role": role}, status=201)
        api = CheckedApi(cluster.url)
        api.ok("POST", "/sessions", json={"name": name, "password": "correct horse " + name}, status=201)
        api.session.headers["X-Trainyard"] = "1"
        return api

    cluster.person = person
    yield cluster
    cluster.stop()
