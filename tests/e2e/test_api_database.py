"""The database goes away and comes back; one database and one state folder belong to one orchestrator."""
import signal
import subprocess

import pytest
import requests

from checked import CheckedApi, problem
from conftest import BIN, Postgres, free_port, wait_until


@pytest.fixture
def own_postgres():
    server = Postgres()
    yield server
    server.stop()


def test_it_waits_for_a_database_that_is_away_and_goes_on(own_postgres):
    from conftest import Cluster
    c = Cluster(own_postgres, agents=0)
    try:
        api = CheckedApi(c.url, c.token)
        api.ok("POST", "/tasks", json={"name": "before"}, status=201)
        own_postgres.process.send_signal(signal.SIGINT)
        own_postgres.process.wait(30)
        wait_until("not ready", lambda: requests.get(c.url + "/readyz", timeout=5).status_code == 503)
        assert requests.get(c.url + "/healthz", timeout=5).status_code == 200, "the process itself is well"
        r = api.get("/tasks")
        problem(r, 503)
        assert r.headers["Retry-After"]
        own_postgres.start()
        c.wait_ready()
        assert api.ok("GET", "/tasks/before")["name"] == "before"
        api.ok("POST", "/tasks", json={"name": "after"}, status=201)
    finally:
        c.stop()


def start_another(state, database):
    argv = [BIN / "trainyard-orchestrator", "--state-dir", state, "--listen", f"127.0.0.1:{free_port()}", "--database", database]
    return subprocess.run(list(map(str, argv)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)


def test_a_second_orchestrator_is_refused(own_cluster, tmp_path):
    c = own_cluster(agents=0)
    same_state = start_another(c.state, c.postgres.database())
    assert same_state.returncode != 0 and "another orchestrator uses" in same_state.stdout
    same_database = start_another(tmp_path / "other", c.database)
    assert same_database.returncode != 0 and "another orchestrator uses this database" in same_database.stdout
    assert CheckedApi(c.url, c.token).get("/tasks").status_code == 200


def test_a_database_of_another_program_is_refused(own_cluster):
    c = own_cluster(agents=0)
    name = c.database.split("///")[1].split("?")[0]
    c.orchestrator.stop()
    c.postgres.sql("INSERT INTO schema_migration (number, name, digest) VALUES (9999, '9999.sql', 'x')", name)
    newer = start_another(c.state, c.database)
    assert newer.returncode != 0 and "newer Trainyard" in newer.stdout
    c.postgres.sql("DELETE FROM schema_migration WHERE number = 9999; UPDATE schema_migration SET digest = 'x' WHERE number = 1", name)
    changed = start_another(c.state, c.database)
    assert changed.returncode != 0 and "another 0001.sql" in changed.stdout
    assert "trainyard:" not in changed.stdout


def test_usage_is_explained():
    run = lambda *words: subprocess.run([str(BIN / "trainyard-orchestrator"), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
    help_text = run("--help")
    assert help_text.returncode == 0 and "--state-dir" in help_text.stdout and "--verify-memory" in help_text.stdout
    wrong = run("--liten", "x")
    assert wrong.returncode == 2 and "listen" in wrong.stdout
    assert run("--version").stdout.startswith("trainyard-orchestrator ")
    assert run("extra").returncode == 2
