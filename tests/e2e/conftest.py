"""Fixtures that start the real processes on loopback: a private PostgreSQL, the orchestrator, agents.

The binaries are those of the build named by TRAINYARD_BUILD (default build/release); ctest sets it. Nothing here pretends:
what a test talks to is what a user talks to. Everything started is stopped by pid.
"""
import glob
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TRAINYARD_BUILD", ROOT / "build" / "release"))
BIN = BUILD / "bin"
SHARED = ROOT.parent / "shared"
SANITIZED = "asan" in BUILD.name or "tsan" in BUILD.name
# A sanitizer build is several times slower; waits are upper bounds only, nothing asserts on time.
PATIENCE = 4 if SANITIZED else 1


def wait_until(what, condition, seconds=30, every=0.05):
    """Poll until condition() is truthy and return it; fail naming what was waited for."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds * PATIENCE} s for {what}")
        time.sleep(every)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Api:
    """The HTTP API as a client sees it; replies are requests.Response."""

    def __init__(self, url, token=None):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def request(self, method, path, **kwargs):
        if not path.startswith("/agent/") and path not in ("/healthz", "/readyz", "/version"):
            path = "/api/v1" + path
        kwargs.setdefault("timeout", 60 * PATIENCE)
        return self.session.request(method, self.url + path, **kwargs)

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, json=None, **kw):
        return self.request("POST", path, json=json, **kw)

    def put(self, path, **kw):
        return self.request("PUT", path, **kw)

    def patch(self, path, json=None, **kw):
        return self.request("PATCH", path, json=json, **kw)

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)

    def ok(self, method, path, status=(200, 201, 204), **kw):
        """The parsed reply of a call that must succeed."""
        r = self.request(method, path, **kw)
        assert r.status_code in ((status,) if isinstance(status, int) else status), f"{method} {path}: {r.status_code} {r.text[:2000]}"
        return r.json() if r.content and "json" in r.headers.get("Content-Type", "") else r.content


class Postgres:
    """A private server on a Unix socket, for one test session. PostgreSQL refuses to run as root; then it runs as postgres."""

    def __init__(self):
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.dir = tempfile.mkdtemp(prefix="trainyard-pg-")
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            shutil.chown(self.dir, self.user)
        self.data = os.path.join(self.dir, "data")
        self._run(["initdb", "-D", self.data, "-U", "trainyard", "-A", "trust", "--no-sync"], check=True, stdout=subprocess.DEVNULL)
        self.start()
        self.count = 0

    def _demote(self):
        entry = pwd.getpwnam(self.user)
        os.initgroups(self.user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)

    def _run(self, argv, **kw):
        argv = [os.path.join(self.bin, argv[0])] + argv[1:]
        return subprocess.run(argv, cwd=self.dir, preexec_fn=self._demote if self.user else None, **kw)

    def start(self):
        log = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen(
            [os.path.join(self.bin, "postgres"), "-D", self.data, "-k", self.dir, "-c", "listen_addresses="],
            cwd=self.dir, stdout=log, stderr=log, preexec_fn=self._demote if self.user else None)
        wait_until("PostgreSQL", lambda: self._run(["pg_isready", "-q", "-h", self.dir]).returncode == 0)

    def database(self):
        self.count += 1
        name = f"t{self.count}"
        self.sql(f"CREATE DATABASE {name}", "postgres")
        return f"postgresql:///{name}?host={self.dir}&user=trainyard"

    def sql(self, text, database):
        """Rows as lists of strings: for checking what a test can't see through the API."""
        out = self._run(["psql", "-h", self.dir, "-U", "trainyard", "-d", database, "-AtqF\t", "-c", text], check=True, stdout=subprocess.PIPE)
        return [line.split("\t") for line in out.stdout.decode().splitlines()]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
        shutil.rmtree(self.dir, ignore_errors=True)


class Program:
    """One started process with its log."""

    def __init__(self, argv, log, env=None):
        self.argv, self.log, self.env = argv, log, env
        self.start()

    def start(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("TRAINYARD_") and k != "OPENBLAS_CORETYPE"}
        env.update(self.env or {})
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(a) for a in self.argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)

    @property
    def pid(self):
        return self.process.pid

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=30):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds * PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.argv[0]} did not end on SIGTERM:\n{self.tail()}")
        return self.process.returncode

    def tail(self, n=4000):
        with open(self.log, errors="replace") as f:
            return f.read()[-n:]


class Cluster:
    """One orchestrator and its agents under one state folder."""

    def __init__(self, postgres, agents=1, cores=2, orchestrator_args=()):
        self.postgres = postgres
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="trainyard-e2e-"))
        self.state = self.dir / "state"
        self.state.mkdir(mode=0o700)
        self.database = postgres.database()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.agents = {}
        self.orchestrator = Program(
            [BIN / "trainyard-orchestrator", "--state-dir", self.state, "--listen", f"127.0.0.1:{self.port}", "--database", self.database,
             "--console-dir", BUILD / "webui", *orchestrator_args], self.dir / "orchestrator.log")
        self.wait_ready()
        self.token = (self.state / "admin.token").read_text().strip()
        self.api = Api(self.url, self.token)
        for i in range(agents):
            self.add_agent(f"n{i + 1}", cores)

    def wait_ready(self):
        def ready():
            if self.orchestrator.process.poll() is not None:
                pytest.fail(f"the orchestrator ended with {self.orchestrator.process.returncode}:\n{self.orchestrator.tail()}")
            try:
                return requests.get(self.url + "/readyz", timeout=2).status_code == 200
            except requests.RequestException:
                return False
        wait_until("the orchestrator to be ready", ready)

    def add_agent(self, name, cores=2):
        self.agents[name] = Program(
            [BIN / "trainyard-agent", "--state-dir", self.dir / name, "--url", self.url, "--node", name, "--join-token-file",
             self.state / "join.token", "--cores", cores], self.dir / f"{name}.log")
        wait_until(f"node {name} to be up", lambda: self.node(name).get("state") == "up")

    def node(self, name):
        return next((n for n in self.api.ok("GET", "/nodes")["items"] if n["name"] == name), {})

    def cli(self, *words, **kw):
        """Run the command line as a user would; the completed process with text output."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("TRAINYARD_")}
        env.update({"TRAINYARD_URL": self.url, "TRAINYARD_TOKEN": self.token, "HOME": str(self.dir)}, **kw.pop("env", {}))
        kw.setdefault("timeout", 300 * PATIENCE)
        return subprocess.run([str(BIN / "trainyard"), *map(str, words)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)

    def wait_job(self, job, states=("COMPLETED",), seconds=120):
        final = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE"}

        def there():
            j = self.api.ok("GET", f"/jobs/{job}")
            if j["state"] in states:
                return j
            if j["state"] in final:
                logs = self.api.get(f"/jobs/{job}/logs?tail=40").text
                pytest.fail(f"job {job} became {j['state']}: {json.dumps(j)[:1500]}\n{logs[-3000:]}")
            return None
        return wait_until(f"job {job} to be {' or '.join(states)}", there, seconds)

    def stop(self):
        problems = []
        for agent in self.agents.values():
            stop_jobs = pathlib.Path(agent.argv[2]) / "stop-jobs"
            if agent.process.poll() is None:
                stop_jobs.touch()
        for program in [*self.agents.values(), self.orchestrator]:
            try:
                program.stop()
            except AssertionError as e:
                problems.append(str(e))
        for log in self.dir.glob("*.log"):
            text = log.read_text(errors="replace")
            if "ERROR: AddressSanitizer" in text or "runtime error:" in text or "ERROR: LeakSanitizer" in text:
                problems.append(f"{log.name}: a sanitizer spoke:\n{text[-6000:]}")
        shutil.rmtree(self.dir, ignore_errors=True)
        assert not problems, "\n".join(problems)


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cluster(postgres):
    """One cluster with one agent of two cores, shared by the tests of a file."""
    c = Cluster(postgres)
    yield c
    c.stop()


@pytest.fixture
def own_cluster(postgres):
    """A factory for tests that kill things: own_cluster(agents=2) gives a cluster of the test's own."""
    made = []

    def make(**kw):
        made.append(Cluster(postgres, **kw))
        return made[-1]
    yield make
    for c in made:
        c.stop()


@pytest.fixture
def api(cluster):
    return cluster.api


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """The project's own dataset: drawn digits as IDX files in a folder."""
    out = tmp_path_factory.mktemp("digits")
    subprocess.run([str(BIN / "trainyard-train"), "make-digits", "--out", str(out), "--train", "2000", "--test", "500"], check=True, timeout=120 * PATIENCE)
    return out
