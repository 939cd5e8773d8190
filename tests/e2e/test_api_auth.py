"""Who may do what: tokens, sessions, roles, requests of other sites, repeated requests."""
import concurrent.futures
import stat

import pytest
import requests

from checked import SPEC, CheckedApi, problem, server  # noqa: F401


def test_nothing_answers_a_stranger_but_health(server):
    stranger = CheckedApi(server.url)
    for path in ("/healthz", "/readyz", "/version"):
        assert stranger.get(path).status_code == 200
    for path, item in SPEC["paths"].items():
        for method, operation in item.items():
            if operation["x-role"] == "none" or not path.startswith("/api/v1"):
                continue
            concrete = path.removeprefix("/api/v1").replace("{id}", "1").replace("{upload}", "0" * 32).replace("{", "").replace("}", "")
            r = stranger.request(method.upper(), concrete)
            assert r.status_code == 401, f"{method} {path}: {r.status_code}"
            assert r.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_wrong_token_says_so(server):
    for value in ("Bearer ty_" + "0" * 64, "Bearer", "Bearer ", "Basic YTpi", "Bearer " + "x" * 5000, "bearer nonsense"):
        r = requests.get(server.url + "/api/v1/tasks", headers={"Authorization": value}, timeout=10)
        assert r.status_code == 401, value[:40]


def test_token_files_are_private_and_made_again_when_lost(own_cluster):
    c = own_cluster(agents=0)
    for name in ("admin.token", "join.token"):
        assert stat.S_IMODE((c.state / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(c.state.stat().st_mode) == 0o700
    c.orchestrator.stop()
    c.orchestrator.start()
    c.wait_ready()
    assert (c.state / "admin.token").read_text().strip() == c.token, "a good file is left alone"
    c.orchestrator.stop()
    (c.state / "admin.token").unlink()
    (c.state / "join.token").write_text("nonsense\n")
    c.orchestrator.start()
    c.wait_ready()
    new = (c.state / "admin.token").read_text().strip()
    assert new != c.token
    assert CheckedApi(c.url, new).get("/sessions/current").json()["user"] == {"name": "admin", "role": "admin"}
    problem(CheckedApi(c.url, c.token).get("/tasks"), 401)
    assert (c.state / "join.token").read_text().startswith("ty_")


def test_a_signin_token_works_once_and_makes_a_session(server):
    token = server.api.ok("POST", "/tokens", json={"name": "browser", "kind": "signin"}, status=201)["token"]
    problem(CheckedApi(server.url, token).get("/tasks"), 401)

    def sign_in(_):
        return CheckedApi(server.url).post("/sessions", json={"token": token})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(sign_in, range(8)))
    assert sorted(r.status_code for r in replies) == [201] + [401] * 7, "of eight at once one gets in"
    cookie = next(r for r in replies if r.status_code == 201).headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie


def test_a_session_ends_when_signed_out(server):
    ada = server.person("ada1")
    assert ada.ok("GET", "/sessions/current")["user"]["name"] == "ada1"
    cookie = ada.session.cookies.get("trainyard_session")
    assert ada.delete("/sessions/current").status_code == 204
    r = requests.get(server.url + "/api/v1/sessions/current", cookies={"trainyard_session": cookie}, timeout=10)
    assert r.status_code == 401, "the old cookie is dead"


def test_changes_by_cookie_need_the_mark_and_our_own_origin(server):
    ada = server.person("ada2")
    del ada.session.headers["X-Trainyard"]
    problem(ada.post("/tasks", json={"name": "csrf"}), 403, "X-Trainyard")
    mark = {"X-Trainyard": "1"}
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", server.url + ".evil.example"):
        problem(ada.post("/tasks", json={"name": "csrf"}, headers={**mark, "Origin": origin}), 403, "another site")
    assert ada.get("/tasks").json()["items"] == []
    assert ada.post("/tasks", json={"name": "csrf"}, headers={**mark, "Origin": server.url}).status_code == 201
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    r = ada.session.get(server.url + "/api/v1/stream", headers={**upgrade, "Origin": "https://evil.example"}, timeout=10)
    assert r.status_code == 403, "a stream is not opened for another site"


def test_others_things_are_not_found(server):
    ada, bob = server.person("ada3"), server.person("bob3")
    ada.ok("POST", "/tasks", json={"name": "adas"}, status=201)
    token = ada.ok("POST", "/tokens", json={"name": "adas"}, status=201)
    for method, path in (("GET", "/tasks/adas"), ("PATCH", "/tasks/adas"), ("DELETE", "/tasks/adas"), ("GET", "/tasks/adas/models"),
                         ("POST", "/tasks/adas/models?name=m"), ("GET", "/tasks/adas/models/m"), ("GET", "/tasks/adas/models/m/content"),
                         ("DELETE", "/tasks/adas/models/m@1"), ("DELETE", f"/tokens/{token['id']}")):
        r = bob.request(method, path, **({"json": {}} if method in ("PATCH", "POST") else {}))
        body = problem(r, 404)
        assert "adas\"?" not in body["detail"], "nor is the name offered"
    assert bob.ok("GET", "/tasks")["items"] == []
    assert all(t["user"] == "bob3" for t in bob.ok("GET", "/tokens")["items"])
    assert server.api.ok("GET", "/tasks/adas")["owner"] == "ada3", "an admin sees it"


@pytest.mark.parametrize("role,allowed", [("viewer", set()), ("user", {"tasks"}), ("operator", {"tasks", "metrics"})])
def test_roles_open_what_is_theirs(server, role, allowed):
    api = server.person(f"role-{role}", role)
    assert (api.post("/tasks", json={"name": f"by-{role}"}).status_code == 201) == ("tasks" in allowed)
    assert (api.get("/metrics").status_code == 200) == ("metrics" in allowed)
    problem(api.post("/users", json={"name": "x", "password": "12345678"}), 403, "admin")
    problem(api.get("/users"), 403)


def test_machine_tokens_open_nothing_for_people(server):
    join = CheckedApi(server.url, (server.state / "join.token").read_text().strip())
    problem(join.get("/tasks"), 403)
    problem(join.get("/users"), 403)


def test_failed_signins_are_slowed(server):
    for _ in range(10):
        assert CheckedApi(server.url).post("/sessions", json={"name": "mallory", "password": "guess"}).status_code == 401
    r = CheckedApi(server.url).post("/sessions", json={"name": "mallory", "password": "guess"})
    problem(r, 429)
    assert int(r.headers["Retry-After"]) > 0


def test_a_revoked_token_is_dead_at_once(server):
    t = server.api.ok("POST", "/tokens", json={"name": "short"}, status=201)
    api = CheckedApi(server.url, t["token"])
    assert api.get("/tasks").status_code == 200
    server.api.ok("DELETE", f"/tokens/{t['id']}", status=204)
    problem(api.get("/tasks"), 401)
    listed = server.api.ok("GET", "/tokens")["items"]
    assert t["id"] not in [x["id"] for x in listed] and t["token"] not in str(listed)


def test_the_same_key_gives_the_same_answer_and_works_once(server):
    key = {"Idempotency-Key": "once"}

    def post(_):
        return CheckedApi(server.url, server.token).post("/tasks", json={"name": "once"}, headers=key)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(post, range(6)))
    made = [r for r in replies if r.status_code == 201]
    assert made and len({r.text for r in made}) == 1
    assert all(r.status_code in (201, 409) for r in replies), "meanwhile: being worked on"
    again = post(0)
    assert again.status_code == 201 and again.text == made[0].text and again.headers["Location"] == "/api/v1/tasks/once"
    problem(server.api.post("/tasks", json={"name": "other"}, headers=key), 409, "another request")
    bad = server.api.post("/tasks", json={"name": "other"}, headers={"Idempotency-Key": "x" * 201})
    problem(bad, 400)
    # A refusal is an answer too.
    for _ in range(2):
        problem(server.api.post("/tasks", json={"name": "once"}, headers={"Idempotency-Key": "refused"}), 409, "taken")


def test_requests_with_mistakes_are_told_what_would_be_right(server):
    problem(server.api.post("/tasks", json={"nme": "x"}), 400, "did you mean \"name\"")
    problem(server.api.post("/tasks", json={"name": "x", "type": "clasification"}), 400, "classification")
    problem(server.api.post("/tasks", json={"name": "../x"}), 400)
    problem(server.api.post("/tasks", json={"name": "x", "labels": [1]}), 400, "label 0")
    problem(server.api.post("/tasks", data=b"[]", headers={"Content-Type": "application/json"}), 400)
    problem(server.api.post("/tasks", data=b"{}", headers={"Content-Type": "text/plain"}), 415)
    body = problem(server.api.post("/tasks", data=b'{"name": "x",\n "type" "y"}', headers={"Content-Type": "application/json"}), 400)
    assert body["errors"][0]["line"] == 2
    problem(server.api.post("/tasks", data=b"{\"name\":\"" + b"x" * 2_000_000 + b"\"}", headers={"Content-Type": "application/json"}), 413)
    problem(server.api.get("/tasks?limit=501"), 400)
    problem(server.api.get("/tasks?cursor=00"), 400)
    r = server.api.put("/tasks/x")
    problem(r, 405)
    assert r.headers["Allow"] == "GET, HEAD, PATCH, DELETE"
    problem(server.api.get("/nowhere"), 404)


def test_deep_json_does_not_break_the_server(server):
    deep = b'{"name":' + b"[" * 500_000 + b"]" * 500_000 + b"}"
    r = server.api.post("/tasks", data=deep, headers={"Content-Type": "application/json"})
    assert r.status_code == 400
    assert server.api.get("/healthz").status_code == 200


def test_lists_go_page_by_page(server):
    pager = server.person("pager")
    for i in range(7):
        pager.ok("POST", "/tasks", json={"name": f"page-{i}", "labels": ["odd"] if i % 2 else []}, status=201)
    names, cursor = [], None
    while True:
        page = pager.ok("GET", "/tasks?limit=3" + (f"&cursor={cursor}" if cursor else ""))
        names += [t["name"] for t in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert names == [f"page-{i}" for i in range(7)]
    assert [t["name"] for t in pager.ok("GET", "/tasks?label=odd")["items"]] == ["page-1", "page-3", "page-5"]
    assert [t["name"] for t in pager.ok("GET", "/tasks?q=AGE-6")["items"]] == ["page-6"]
    changed = pager.ok("PATCH", "/tasks/page-0", json={"description": "new", "labels": ["x"]})
    assert changed["description"] == "new" and changed["labels"] == ["x"] and changed["type"] == "other"
    pager.ok("DELETE", "/tasks/page-0", status=204)
    problem(pager.get("/tasks/page-0"), 404, "did you mean \"page-")
