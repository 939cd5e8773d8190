"""What stands between a stranger's file and the machine: a trainer that has been taken over, as a program of the test's own."""
import concurrent.futures
import os
import shutil
import subprocess
import tempfile
import textwrap
import threading
import time

import pytest

from checked import CheckedApi, problem
from conftest import SANITIZED, Cluster, wait_until

HEAD = """#!/usr/bin/python3
import json, os, socket, sys, time, signal, ctypes
def say(ok=True, **summary):
    print(json.dumps({"format": "trainyard.verification/1", "kind": sys.argv[2], "ok": ok, "trainer": "fake", "seconds": 0,
        "checks": [{"name": "x", "status": "passed" if ok else "failed", "message": "m", "pointer": None, "line": 0, "column": 0,
                    "expected": None, "actual": None, "hint": None, "seconds": 0}], "summary": summary}))
    sys.stdout.flush()
    os._exit(0 if ok else 3)
def try_(f):
    try:
        f()
        return "done"
    except BaseException as e:
        return type(e).__name__
"""


class Caged:
    def __init__(self, postgres, *args):
        # Not below the state folder and not in pytest's own private one: like a program that lies somewhere in the system.
        self.dir = tempfile.mkdtemp(prefix="trainyard-cage-")
        os.chmod(self.dir, 0o755)
        self.trainer = os.path.join(self.dir, "trainyard-train")
        self.write("say()")
        self.cluster = Cluster(postgres, agents=0, orchestrator_args=("--trainer", self.trainer, *args))
        self.api = CheckedApi(self.cluster.url, self.cluster.token)

    def write(self, body):
        new = self.trainer + ".new"
        with open(new, "w") as f:
            f.write(HEAD + textwrap.dedent(body))
        os.chmod(new, 0o755)
        os.rename(new, self.trainer)

    def verify(self, body, kind="model", **kw):
        self.write(body)
        return self.api.post(f"/verify/{kind}", data=b"{}", **kw)

    def stop(self):
        self.cluster.stop()
        shutil.rmtree(self.dir)


@pytest.fixture(scope="module")
def caged(postgres):
    c = Caged(postgres, "--verify-seconds", "4", "--verify-memory", "512M", "--verify-disk", "10M")
    yield c
    c.stop()


def summary(response):
    assert response.status_code == 200, response.text[:1000]
    body = response.json()
    assert body["ok"], body
    return body["summary"]


def test_it_reads_what_it_is_given_and_writes_only_its_own(caged):
    state = str(caged.cluster.state)
    s = summary(caged.verify(f"""
        say(given=try_(lambda: open("in/file").read()), own=try_(lambda: open("out/x", "w").write("x")),
            token=try_(lambda: open("{state}/admin.token").read()), blobs=try_(lambda: os.listdir("{state}/blobs")),
            above=try_(lambda: os.listdir("..")), change=try_(lambda: open("in/file", "a").write("x")),
            beside=try_(lambda: open("in/new", "w").write("x")), tmp=try_(lambda: open("/tmp/trainyard-escaped", "w").write("x")),
            truncate=try_(lambda: os.truncate("in/file", 0)), shadow=try_(lambda: open("/etc/shadow").read()))
    """))
    assert s.pop("given") == "done" and s.pop("own") == "done"
    assert set(s.values()) == {"PermissionError"}, s
    assert not os.path.exists("/tmp/trainyard-escaped")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_becomes_nobody_and_gets_nothing_back(caged):
    s = summary(caged.verify("""
        libc = ctypes.CDLL(None)
        say(uid=os.getresuid(), gid=os.getresgid(), groups=os.getgroups(), back=try_(lambda: os.setuid(0)), privs=libc.prctl(39, 0, 0, 0, 0),
            caps=[l.split()[1] for l in open("/proc/self/status") if l.startswith(("CapEff", "CapPrm", "CapAmb"))])
    """))
    assert s["uid"] == [65534] * 3 and s["gid"] == [65534] * 3 and s["groups"] == []
    assert s["back"] == "PermissionError" and s["privs"] == 1
    assert all(int(c, 16) == 0 for c in s["caps"])


def test_it_reaches_no_network_and_nobody_elses_process(caged):
    pid = caged.cluster.orchestrator.pid
    s = summary(caged.verify(f"""
        say(net=try_(lambda: socket.create_connection(("127.0.0.1", {caged.cluster.port}), 3)),
            kill=try_(lambda: os.kill({pid}, signal.SIGTERM)), memory=try_(lambda: open("/proc/{pid}/mem").read()),
            env=sorted(os.environ))
    """))
    assert s["net"] in ("PermissionError", "OSError"), s
    assert s["kill"] == "PermissionError" and s["memory"] == "PermissionError"
    assert not [n for n in s["env"] if "TRAINYARD" in n or "TOKEN" in n]


@pytest.mark.skipif(SANITIZED, reason="a sanitizer starts a thread of its own")
def test_it_starts_no_process(caged):
    s = summary(caged.verify("""
        import threading
        say(fork=try_(os.fork), thread=try_(threading.Thread(target=print).start))
    """))
    assert s == {"fork": "BlockingIOError", "thread": "RuntimeError"}


@pytest.mark.parametrize("what,body", [
    ("processor time", "while True: pass"),
    ("a crash", "os.kill(os.getpid(), signal.SIGSEGV)"),
    ("a large file", "signal.signal(signal.SIGXFSZ, signal.SIG_DFL); open('out/x', 'wb').write(b'x' * 50_000_000)"),
    ("endless output", "while True: os.write(1, b'x' * 65536)"),
])
def test_limits_end_it_and_are_told_as_a_finding(caged, what, body):
    r = caged.verify(body)
    assert r.status_code == 200, r.text
    v = r.json()
    assert v["ok"] is False and v["checks"][0]["name"] == "verify.limits", v


def test_sleeping_ends_by_the_clock(caged):
    v = caged.verify("time.sleep(1000)").json()
    assert v["ok"] is False and "time limit" in v["checks"][0]["message"]


@pytest.mark.skipif(SANITIZED, reason="memory is not limited under a sanitizer")
def test_memory_is_limited(caged):
    s = summary(caged.verify("say(memory=try_(lambda: bytearray(3_000_000_000)), some=try_(lambda: bytearray(100_000_000)))"))
    assert s == {"memory": "MemoryError", "some": "done"}


@pytest.mark.parametrize("body", [
    "os._exit(1)", "os._exit(77)", "print('{}'); os._exit(0)", "print('not json'); os._exit(0)", "os._exit(0)",
    "print('[' * 100000); os._exit(3)",
    "sys.argv[2] = 'layer'; say()",
    "print(json.dumps({'format': 'trainyard.verification/1', 'kind': 'model', 'ok': True, 'checks': [{'name': 'x', 'status': 'failed', 'message': 'm'}]})); os._exit(0)",
])
def test_an_answer_that_is_none_is_the_servers_error(caged, body):
    body = problem(caged.verify(body), 500)
    assert "trainer" not in body["detail"] and str(caged.dir) not in body["detail"], "the reason is in the log"


@pytest.mark.parametrize("trick", [
    "os.symlink('/etc/shadow', 'out/pack')", "os.symlink('../in/file', 'out/pack')", "os.mkdir('out/pack')", "os.mkfifo('out/pack')",
    "os.link('in/file', 'out/pack')",
])
def test_a_packed_file_that_is_not_one_is_not_taken(caged, trick):
    caged.write(f"try_(lambda: {trick})\nif not os.path.lexists('out/pack'): os.symlink('x', 'out/pack')\nsay()")
    caged.api.post("/tasks", json={"name": "trick"})
    problem(caged.api.post("/tasks/trick/datasets?name=d", data=trick.encode()), 500)
    assert caged.api.ok("GET", "/tasks/trick/datasets")["items"] == []
    assert not [p for p in (caged.cluster.state / "tmp").iterdir()], "the scratch folder is gone"


def test_nothing_is_left_of_it(caged):
    assert not list((caged.cluster.state / "tmp").iterdir())
    out = subprocess.run(["ps", "-eo", "args"], stdout=subprocess.PIPE, text=True).stdout
    assert "in/file" not in out


def test_it_dies_with_the_orchestrator(postgres):
    c = Caged(postgres)
    try:
        c.write("open('out/here', 'w').write('x'); time.sleep(300)")
        threading.Thread(target=lambda: pytest.raises(Exception, c.api.post, "/verify/model", data=b"{}"), daemon=True).start()

        wait_until("the trainer to run", lambda: list((c.cluster.state / "tmp").glob("verify-*/out/here")))
        pids = [p for p in os.listdir("/proc") if p.isdigit() and "in/file" in open(f"/proc/{p}/cmdline", errors="replace").read()]
        assert pids
        c.cluster.orchestrator.kill()
        wait_until("the trainer to be gone", lambda: not any(os.path.exists(f"/proc/{p}") for p in pids))
        c.cluster.orchestrator.start()
        c.cluster.wait_ready()
        assert not list((c.cluster.state / "tmp").iterdir()), "its scratch folder is cleared at the next start"
    finally:
        c.stop()


def test_turns_are_fair_between_users(postgres):
    """One who asks for forty is not in the way of one who asks for one."""
    c = Caged(postgres, "--verify-children", "1")
    try:
        c.write("time.sleep(0.25); say()")
        c.api.ok("POST", "/users", json={"name": "modest", "password": "12345678"}, status=201)
        modest = CheckedApi(c.cluster.url)
        modest.ok("POST", "/sessions", json={"name": "modest", "password": "12345678"}, status=201)
        modest.session.headers["X-Trainyard"] = "1"
        done = []

        def greedy(i):
            CheckedApi(c.cluster.url, c.cluster.token).ok("POST", "/verify/model", data=b"{}")
            done.append(i)
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            jobs = [pool.submit(greedy, i) for i in range(40)]
            time.sleep(1)
            modest.ok("POST", "/verify/model", data=b"{}")
            assert len(done) < 30, f"{len(done)} of the greedy one's came first"
            for j in jobs:
                j.result()
    finally:
        c.stop()
