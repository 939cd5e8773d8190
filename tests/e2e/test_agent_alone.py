"""The agent against an orchestrator of the test's own: what it promises whatever dies (DESIGN 4.5)."""
import json
import os
import pathlib
import shutil
import signal
import tempfile
import time

import pytest

from conftest import BIN, PATIENCE, Program, wait_until
from fake_orchestrator import FakeOrchestrator

# A trainer that keeps the contract of docs/architecture.md 4.1 as far as an agent can see: rank 0 writes metrics and files.
TRAINER = """#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in --out) out=$2; shift;; --metrics) metrics=$2; shift;; --steps) steps=$2; shift;; --pause) pause=$2; shift;; esac; shift
done
echo $$ > pid.$OMPI_COMM_WORLD_RANK
echo "rank $OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE"
[ "$OMPI_COMM_WORLD_RANK" = 0 ] || exit 0
mkdir -p $out/checkpoints
echo '{"t":1.5,"kind":"start","ranks":2}' >> $metrics
i=0
while [ $i -lt $steps ]; do
  i=$((i+1))
  echo "{\\"t\\":2.5,\\"kind\\":\\"train\\",\\"step\\":$i,\\"values\\":{\\"loss\\":0.5}}" >> $metrics
  if [ $i = 5 ]; then
    echo saved > $out/checkpoints/step-5.ckpt
    echo '{"t":3,"kind":"checkpoint","step":5,"file":"checkpoints/step-5.ckpt"}' >> $metrics
  fi
  sleep $pause
done
echo weights > $out/weights.safetensors
echo '{"t":9,"kind":"end","step":1}' >> $metrics
"""


class Node:
    def __init__(self, fake, name="n1", **options):
        self.fake, self.name = fake, name
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="agent-e2e-"))
        self.state = self.dir / "state"
        (self.dir / "join").write_text(fake.join_token + "\n")
        trainer = self.dir / "trainer.sh"
        trainer.write_text(TRAINER)
        trainer.chmod(0o755)
        argv = [BIN / "trainyard-agent", "--state-dir", self.state, "--url", fake.url, "--node", name, "--join-token-file", self.dir / "join",
                "--trainer", trainer, "--heartbeat", 1, "--log-level", "debug"]
        for k, v in options.items():
            argv += ["--" + k.replace("_", "-"), v]
        self.agent = Program(argv, self.dir / "agent.log", env={"TEST_AGENT_SECRET": "do-not-leak"})
        self.wait_ready()

    def wait_ready(self):
        wait_until(f"{self.name} to be welcomed", lambda: self.fake.ready(self.name))

    def restart(self):
        seen = len(self.fake.hellos)
        self.agent.start()
        wait_until("hello", lambda: len(self.fake.hellos) > seen)

    def folder(self, job, fence=1):
        return self.state / "attempts" / f"{job}.{fence}"

    def stop(self):
        if self.agent.process.poll() is None:
            (self.state / "stop-jobs").touch()
            self.agent.stop()
        log = (self.dir / "agent.log").read_text(errors="replace")
        shutil.rmtree(self.dir, ignore_errors=True)
        assert "AddressSanitizer" not in log and "runtime error:" not in log and "LeakSanitizer" not in log, log[-6000:]


@pytest.fixture
def fake():
    f = FakeOrchestrator()
    yield f
    f.stop()
    assert not f.problems, f.problems


@pytest.fixture
def node(fake):
    n = Node(fake)
    yield n
    n.stop()


def train(fake, steps=20, pause="0.01", **more):
    return {"kind": "train", "name": "t", "ranks": 2, "cores": 2, "files": [{"path": "model.json", "digest": fake.blob("{}")},
                                                                          {"path": "data", "digest": fake.blob("data" * 1000), "cache": True}],
            "argv": ["trainyard-train", "--model", "model.json", "--steps", str(steps), "--pause", pause], **more}


def batch(fake, script, **more):
    return {"kind": "batch", "name": "b", "files": [{"path": "script.sh", "digest": fake.blob(script)}], **more}


def marked(job, fence=1):
    """Processes of an attempt, by their environment."""
    found = []
    entry = f"TRAINYARD_ATTEMPT={job}.{fence}".encode()
    for p in pathlib.Path("/proc").iterdir():
        if p.name.isdigit():
            try:
                if entry in (p / "environ").read_bytes().split(b"\0") and "State:\tZ" not in (p / "status").read_text():
                    found.append(int(p.name))
            except OSError:
                pass
    return found


def ended(fake, attempt, node="n1", seconds=60):
    return wait_until("ended", lambda: attempt.ended.get(node), seconds)


def steps_of(attempt):
    return [r["step"] for r in attempt.lines["metrics"] if r.get("kind") == "train"]


def texts(attempt):
    return [r["text"] for r in attempt.lines["logs"]]


def test_hello_says_what_the_machine_has(fake, node):
    hello = fake.hellos[0]
    assert hello["cores"] == len(os.sched_getaffinity(0))
    total = int(next(line for line in open("/proc/meminfo") if line.startswith("MemTotal")).split()[1]) * 1024
    assert 0 < hello["memory_bytes"] <= total
    assert hello["boot"] == pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert hello["attempts"] == [] and isinstance(hello["gpus"], list)
    assert (node.state / "token").stat().st_mode & 0o777 == 0o600
    wait_until("heartbeats", lambda: fake.heartbeats >= 2)


def test_a_training_goes_the_whole_way(fake, node):
    a = fake.launch("n1", 42, train(fake, steps=300, pause="0"))
    end = ended(fake, a)
    assert (end["exit_code"], end["signal"], end["reason"]) == (0, 0, "exit")
    assert a.phases == ["starting", "running", "completing"]
    assert steps_of(a) == list(range(1, 301))
    assert [r["kind"] for r in a.lines["metrics"]][:2] == ["start", "train"] and a.lines["metrics"][-1]["kind"] == "end"
    assert sorted(texts(a)) == ["rank 0 of 2", "rank 1 of 2"]
    assert {n: x["kind"] for n, x in a.artifacts.items()} == {"weights.safetensors": "artifact", "checkpoints/step-5.ckpt": "checkpoint"}
    assert fake.blobs[a.artifacts["weights.safetensors"]["digest"]] == b"weights\n"
    wait_until("the folder to go", lambda: not node.folder(42).exists())
    assert not marked(42)


def test_a_checkpoint_arrives_while_the_training_runs(fake, node):
    a = fake.launch("n1", 43, train(fake, steps=100000, pause="0.02"))
    wait_until("the checkpoint", lambda: "checkpoints/step-5.ckpt" in a.artifacts)
    assert not a.ended and fake.blobs[a.artifacts["checkpoints/step-5.ckpt"]["digest"]] == b"saved\n"
    fake.stop_job("n1", 43, grace=1)
    ended(fake, a)


def test_a_training_resumes_from_the_checkpoint_it_is_given(fake, node):
    a = fake.launch("n1", 44, batch(fake, "#!/bin/sh\ncat resume.ckpt\n", resume={"digest": fake.blob("state at step 5\n")}), fence=2)
    ended(fake, a, "n1")
    assert texts(a) == ["state at step 5"]


def test_a_blob_is_fetched_once_and_kept(fake, node):
    a1, a2 = fake.launch("n1", 1, train(fake, steps=1)), fake.launch("n1", 2, train(fake, steps=1))
    ended(fake, a1), ended(fake, a2)
    assert sorted(fake.gets) == sorted(set(fake.gets))
    assert a1.ended["n1"]["reason"] == a2.ended["n1"]["reason"] == "exit"


def test_nothing_is_lost_or_doubled_when_the_agent_is_killed(fake, node):
    a = fake.launch("n1", 7, train(fake, steps=150, pause="0.02"))
    wait_until("some metrics", lambda: len(steps_of(a)) > 10)
    pid = int((node.folder(7) / "pid.0").read_text())
    for _ in range(2):
        node.agent.kill()
        before = len(steps_of(a))
        time.sleep(0.4)
        assert pathlib.Path(f"/proc/{pid}").exists(), "the job must not notice"
        node.restart()
        assert {"job": 7, "fence": 1, "phase": "running"} in fake.hellos[-1]["attempts"] or fake.hellos[-1]["attempts"][0]["phase"] == "starting"
        wait_until("more metrics", lambda: len(steps_of(a)) > before + 5)
    end = ended(fake, a)
    assert end["reason"] == "exit" and end["exit_code"] == 0
    assert steps_of(a) == list(range(1, 151))
    assert sorted(texts(a)) == ["rank 0 of 2", "rank 1 of 2"]
    assert "weights.safetensors" in a.artifacts


def test_nothing_is_lost_when_it_ends_while_the_agent_is_away(fake, node):
    a = fake.launch("n1", 8, train(fake, steps=30, pause="0.02"))
    wait_until("some metrics", lambda: len(steps_of(a)) > 3)
    node.agent.kill()
    wait_until("the end", lambda: (node.folder(8) / "exit.json").exists())
    node.restart()
    assert ended(fake, a)["reason"] == "exit"
    assert steps_of(a) == list(range(1, 31))
    assert "weights.safetensors" in a.artifacts


def test_an_orchestrator_that_is_away_is_waited_for(fake, node):
    a = fake.launch("n1", 9, train(fake, steps=100, pause="0.02"))
    wait_until("some metrics", lambda: len(steps_of(a)) > 5)
    fake.stop()
    wait_until("the end", lambda: (node.folder(9) / "exit.json").exists())
    fake.start()
    assert ended(fake, a)["exit_code"] == 0
    assert steps_of(a) == list(range(1, 101))
    assert "weights.safetensors" in a.artifacts


def test_what_was_not_acknowledged_is_bounded_and_sent_again(fake, node):
    fake.acknowledge = False
    a = fake.launch("n1", 10, train(fake, steps=3000, pause="0"))
    wait_until("the end of the run", lambda: (node.folder(10) / "exit.json").exists())
    wait_until("the window to fill", lambda: fake.unacknowledged["metrics"] > 500)
    time.sleep(0.5)
    assert fake.unacknowledged["metrics"] <= 1024 + 256 and not a.ended
    fake.acknowledge = True
    fake.cut()
    assert ended(fake, a)["reason"] == "exit"
    assert steps_of(a) == list(range(1, 3001))


HARD = """#!/bin/sh
trap '' TERM HUP INT
(trap '' TERM; setsid sh -c 'trap "" TERM; while :; do sleep 1; done') &
setsid setsid sleep 300 &
(setsid sh -c 'setsid sleep 301 & exit' &)
echo up
while :; do sleep 1; done
"""


@pytest.mark.parametrize("how", ["cancel", "timeout"])
@pytest.mark.parametrize("cgroups", ["auto", "off"])
def test_stopping_leaves_no_process(fake, how, cgroups):
    node = Node(fake, cgroups=cgroups, grace="1")
    a = fake.launch("n1", 11, batch(fake, HARD, time_limit_seconds=2 if how == "timeout" else 0))
    wait_until("output", lambda: "up" in texts(a))
    assert len(marked(11)) > 3
    if how == "cancel":
        fake.stop_job("n1", 11, grace=0.5)
    end = ended(fake, a)
    assert end["reason"] == how and end["signal"] == 9
    assert not marked(11)
    node.stop()


def test_a_training_is_cancelled_through_mpirun(fake, node):
    a = fake.launch("n1", 12, train(fake, steps=100000, pause="0.02"))
    wait_until("some metrics", lambda: len(steps_of(a)) > 3)
    fake.stop_job("n1", 12, grace=5)
    end = ended(fake, a)
    assert end["reason"] == "cancel" and not marked(12)
    assert steps_of(a) == list(range(1, len(steps_of(a)) + 1))


def test_what_the_orchestrator_does_not_know_is_killed_and_removed(fake, node):
    a = fake.launch("n1", 13, batch(fake, HARD))
    wait_until("output", lambda: "up" in texts(a))
    del fake.attempts[(13, 1)]
    fake.cut()
    wait_until("the folder to go", lambda: not node.folder(13).exists())
    assert not marked(13)


def test_a_higher_fence_ends_the_lower_one(fake, node):
    a = fake.launch("n1", 14, batch(fake, HARD))
    wait_until("output", lambda: "up" in texts(a))
    b = fake.launch("n1", 14, batch(fake, "#!/bin/sh\necho second\n"), fence=2)
    assert ended(fake, b)["exit_code"] == 0
    wait_until("the older folder to go", lambda: not node.folder(14, 1).exists())
    assert not marked(14, 1) and texts(b) == ["second"]


def test_a_killed_shepherd_is_reported_and_swept_up(fake, node):
    a = fake.launch("n1", 15, batch(fake, HARD))
    wait_until("output", lambda: "up" in texts(a))
    os.kill(json.loads((node.folder(15) / "shepherd.pid").read_text())["pid"], signal.SIGKILL)
    end = ended(fake, a)
    assert end["reason"] == "lost" and "killed" in end["message"]
    assert not marked(15)


def test_a_restarted_machine_is_reported(fake, node):
    a = fake.launch("n1", 16, batch(fake, "#!/bin/sh\necho up\nexec sleep 300\n"))
    wait_until("output", lambda: "up" in texts(a))
    node.agent.kill()
    pid_file = node.folder(16) / "shepherd.pid"
    who = json.loads(pid_file.read_text())
    os.kill(who["pid"], signal.SIGKILL)
    pid_file.write_text(json.dumps({**who, "boot": "00000000-0000-0000-0000-000000000000"}))
    node.restart()
    assert ended(fake, a)["reason"] == "node_restart"
    assert not marked(16)


def test_files_that_cannot_be_had_end_the_attempt(fake, node):
    a = fake.launch("n1", 17, {"kind": "batch", "files": [{"path": "script.sh", "digest": "0" * 64}]})
    end = ended(fake, a)
    assert end["reason"] == "launch" and "script.sh" in end["message"] and "404" in end["message"]
    assert a.phases == ["starting", "completing"]


def test_wrong_bytes_are_never_run(fake, node):
    digest = fake.blob("#!/bin/sh\necho good\n")
    fake.blobs[digest] = b"#!/bin/sh\necho bad\n"
    a = fake.launch("n1", 18, {"kind": "batch", "files": [{"path": "script.sh", "digest": digest}]})
    end = ended(fake, a)
    assert end["reason"] == "launch" and "digest" in end["message"]
    assert not texts(a)


def test_a_launch_that_makes_no_sense_is_answered(fake, node):
    a = fake.launch("n1", 19, {"kind": "batch", "files": [{"path": "../../escape", "digest": "0" * 64}]})
    assert ended(fake, a)["reason"] == "launch"
    assert not (node.state / "escape").exists()


def test_a_refused_token_makes_it_register_again(fake, node):
    assert fake.registrations == 1
    fake.tokens.clear()
    fake.cut()
    wait_until("a second registration", lambda: fake.registrations == 2)
    node.wait_ready()
    a = fake.launch("n1", 20, batch(fake, "#!/bin/sh\nexit 3\n"))
    assert ended(fake, a)["exit_code"] == 3


def test_sigterm_leaves_jobs_alone_and_stop_jobs_does_not(fake, node):
    a = fake.launch("n1", 21, batch(fake, "#!/bin/sh\necho up\nexec sleep 300\n"))
    wait_until("output", lambda: "up" in texts(a))
    assert node.agent.stop() == 0
    assert marked(21)
    node.restart()
    node.wait_ready()
    (node.state / "stop-jobs").touch()
    assert node.agent.stop() == 0
    assert not marked(21) and not (node.state / "stop-jobs").exists()


def test_a_batch_script_sees_its_job_and_nothing_of_ours(fake, node):
    script = "#!/bin/sh\nenv | sort\necho '{\"t\":1,\"kind\":\"train\",\"step\":1,\"values\":{}}' >> $TRAINYARD_METRICS\nprintf 'no json' >> $TRAINYARD_METRICS\n"
    a = fake.launch("n1", 22, batch(fake, script, environment={"MINE": "yes"}, ranks=2, cores=2, memory_bytes=1 << 30))
    assert ended(fake, a)["exit_code"] == 0
    env = dict(t.split("=", 1) for t in texts(a) if "=" in t)
    assert env["SLURM_JOB_ID"] == "22" and env["SLURM_NTASKS"] == "2" and env["MINE"] == "yes"
    assert env["SLURM_MEM_PER_NODE"] == "1024"
    assert "TEST_AGENT_SECRET" not in env and not any("agent-token" in v or v == "join" for v in env.values())
    assert not pathlib.Path(env["TMPDIR"]).exists(), "scratch goes with the job"
    assert a.lines["metrics"][0]["step"] == 1
    assert a.lines["metrics"][1]["kind"] == "invalid" and a.lines["metrics"][1]["text"] == "no json"


def test_only_regular_files_become_artifacts(fake, node):
    script = """#!/bin/sh
cd out
echo good > good.txt; mkdir -p a/b; echo deep > a/b/deep.txt; : > empty
ln -s /etc/passwd link; ln -s /etc linkdir; mkfifo fifo; ln -s ../secret secret
printf x > "$(printf 'bad\\001name')"
"""
    a = fake.launch("n1", 23, batch(fake, script))
    end = ended(fake, a)
    assert sorted(a.artifacts) == ["a/b/deep.txt", "empty", "good.txt"]
    assert "link" in end["message"]


@pytest.mark.parametrize("what", ["mkdir $TRAINYARD_METRICS", "mkfifo $TRAINYARD_METRICS", "ln -s /etc/passwd $TRAINYARD_METRICS",
                                  "rm -rf $PWD", "ln -s /etc out/x; rm -rf out; ln -s /etc out"])
def test_a_job_that_spoils_its_folder_still_ends(fake, node, what):
    a = fake.launch("n1", 28, batch(fake, f"#!/bin/sh\n{what}\nexit 0\n"))
    end = ended(fake, a)
    assert end["exit_code"] == (1 if "PWD" in what else 0)
    assert not a.artifacts and not a.lines["metrics"]
    wait_until("the folder to go", lambda: not node.folder(28).exists())
    assert pathlib.Path("/etc/passwd").exists()


def test_stderr_comes_with_the_end(fake, node):
    a = fake.launch("n1", 24, batch(fake, "#!/bin/sh\necho fine\nfor i in 1 2 3; do echo \"trouble $i\" >&2; done\nexit 9\n"))
    end = ended(fake, a)
    assert end["exit_code"] == 9 and end["tail"] == ["trouble 1", "trouble 2", "trouble 3"]


def test_a_killed_rank_is_named(fake, node):
    a = fake.launch("n1", 27, train(fake, steps=100000, pause="0.02"))
    wait_until("some metrics", lambda: len(steps_of(a)) > 3)
    os.kill(int((node.folder(27) / "pid.0").read_text()), signal.SIGKILL)
    end = ended(fake, a)
    assert (end["reason"], end["signal"], end["exit_code"]) == ("signal", 9, 137)
    assert end["message"].startswith("rank 0 on n1 ended with signal 9")
    assert not any("mpirun" in line for line in end["tail"])


def test_a_script_that_is_no_program_is_told(fake, node):
    a = fake.launch("n1", 25, batch(fake, "#!/nonexistent/shell\n"))
    end = ended(fake, a)
    assert end["reason"] == "launch" and "script.sh" in end["message"]


def test_flooding_output_stays_bounded(fake, node):
    a = fake.launch("n1", 26, batch(fake, "#!/bin/sh\nyes 0123456789012345678901234567890123456789 | head -c 60000000\necho done\n"))
    assert ended(fake, a, seconds=120)["exit_code"] == 0
    said = texts(a)
    assert any("were dropped here" in t for t in said)
    kept = sum(len(t) for t in said)
    assert kept < 30_000_000, kept


def test_another_agent_with_the_same_folder_is_refused(fake, node):
    second = Program(node.agent.argv, node.dir / "second.log")
    assert second.process.wait(20 * PATIENCE) != 0
    assert "another trainyard-agent" in (node.dir / "second.log").read_text()


@pytest.fixture
def two(fake):
    nodes = [Node(fake, "n1"), Node(fake, "n2")]
    yield nodes
    for n in nodes:
        n.stop()


def over_two(fake, launch):
    return {**launch, "nodes": [{"node": "n1", "ranks": 1, "cores": 1}, {"node": "n2", "ranks": 1, "cores": 1}]}


def end_members(fake, attempt, job):
    end = ended(fake, attempt, "n1")
    fake.stop_job("n2", job, reason="end", grace=1)
    assert ended(fake, attempt, "n2")["reason"] == "end"
    return end


def test_a_remote_command_runs_inside_the_allocation(fake, two):
    script = "#!/bin/sh\ntrainyard-rsh n2 'echo from $TRAINYARD_NODE of job $TRAINYARD_JOB_ID; echo bad >&2; exit 5'\necho code $?\n" \
             "trainyard-rsh n3 true; echo code $?\ntrainyard-rsh n1 'echo here $TRAINYARD_NODE'\n"
    a = fake.launch("n1", 31, over_two(fake, batch(fake, script.replace("trainyard-rsh", str(BIN / "trainyard-rsh")))), nodes=["n1", "n2"])
    end = end_members(fake, a, 31)
    assert end["exit_code"] == 0
    said = texts(a)
    assert "from n2 of job 31" in said and "bad" in said and "code 5" in said and "code 255" in said and "here n1" in said
    assert not marked(31)


def test_a_remote_command_survives_both_agents(fake, two):
    script = f"#!/bin/sh\n{BIN}/trainyard-rsh n2 'echo begun; sleep 3; echo finished; exit 4'\necho code $?\n"
    a = fake.launch("n1", 32, over_two(fake, batch(fake, script)), nodes=["n1", "n2"])
    wait_until("output", lambda: "begun" in texts(a))
    for n in two:
        n.agent.kill()
        n.restart()
    end_members(fake, a, 32)
    assert texts(a) == ["begun", "finished", "code 4"]


def test_stopping_the_head_stops_the_remote_command(fake, two):
    a = fake.launch("n1", 33, over_two(fake, batch(fake, f"#!/bin/sh\nexec {BIN}/trainyard-rsh n2 'echo up; trap \"\" TERM; sleep 300'\n")), nodes=["n1", "n2"])
    wait_until("output", lambda: "up" in texts(a))
    fake.stop_job("n1", 33, grace=0.5)
    end_members(fake, a, 33)
    assert not marked(33)


def test_mpirun_reaches_two_nodes(fake, two):
    a = fake.launch("n1", 34, over_two(fake, train(fake, steps=20)), nodes=["n1", "n2"])
    end = end_members(fake, a, 34)
    assert end["exit_code"] == 0, (end, texts(a))
    assert sorted(texts(a)) == ["rank 0 of 2", "rank 1 of 2"]
    assert steps_of(a) == list(range(1, 21))
    assert not marked(34)
