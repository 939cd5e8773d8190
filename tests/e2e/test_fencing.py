"""Fencing: a job never runs twice, and what is said of an attempt that was given up changes nothing. The agents here are
ours, so that they can say it late, twice, and after their node was given up."""
import asyncio

import pytest

from checked import CheckedApi
from conftest import Cluster
from fake_agent import FakeAgent
from test_whole_way import all_items

SCRIPT = {"script": "#!/bin/sh\ntrue\n"}


@pytest.fixture
def cluster(postgres):
    c = Cluster(postgres, agents=0, orchestrator_args=("--node-timeout", "2s"))
    c.api = CheckedApi(c.url, c.token)
    yield c
    c.stop()


def submit(cluster, **more):
    return cluster.api.ok("POST", "/jobs", json={**SCRIPT, **more}, status=201)["id"]


def texts(cluster, job):
    return [(m["seq"] >> 40, m["record"]["text"]) for m in all_items(cluster.api, f"/jobs/{job}/logs")]


async def move_to_another_node(cluster, job, a, b):
    """Attempt 1 runs on a, a goes away, attempt 2 is launched on b, which stays connected: the context to use b in."""
    async with a.connected():
        await a.hear("launch", job=job, fence=1)
        await a.phase(job, 1, "running")
        await a.until(job, "RUNNING")
        await a.logs(job, 1, 1, "first")
        await a.hear("records_ack", next=2)


def test_late_words_of_an_old_attempt_change_nothing(cluster):
    job = submit(cluster)
    a, b = FakeAgent(cluster, "a"), FakeAgent(cluster, "b")

    async def run():
        await move_to_another_node(cluster, job, a, b)
        async with b.connected():
            launch = await b.hear("launch", job=job)
            assert launch["fence"] == 2, "never the number that another node was given"
            await b.phase(job, 2, "running")
            await b.until(job, "RUNNING", attempt=2)
            async with a.connected([(job, 1, "running")]):
                assert a.welcome["keep"] == [] and a.welcome["drop"] == [{"job": job, "fence": 1}]
                await a.logs(job, 1, 2, "late")
                await a.hear("stop", job=job, fence=1)
                await a.hear("forget", job=job, fence=1)
                await a.phase(job, 1, "completing")
                await a.ended(job, 1, code=9)
                await a.hear("forget", job=job, fence=1)
                # Nor may it speak for the new one, which is not on its node.
                await a.phase(job, 2, "completing")
                await a.ended(job, 2, code=9)
                await a.hear("forget", job=job, fence=2)
                assert (await a.call("GET", f"/jobs/{job}"))["state"] == "RUNNING"
                await b.logs(job, 2, 1, "second")
                await b.hear("records_ack", next=2)
                await b.ended(job, 2)
                await b.hear("forget", job=job, fence=2)
        done = cluster.api.ok("GET", f"/jobs/{job}")
        assert (done["state"], done["attempt"], done["exit_code"], done["nodes"]) == ("COMPLETED", 2, 0, ["b"])
        assert texts(cluster, job) == [(1, "first"), (2, "second")]
    asyncio.run(run())


def test_everything_said_twice_counts_once(cluster):
    job = submit(cluster)
    a = FakeAgent(cluster, "a")

    async def run():
        async with a.connected():
            await a.hear("launch", job=job, fence=1)
            for _ in range(2):
                await a.phase(job, 1, "running")
            await a.logs(job, 1, 1, "one", "two")
            await a.logs(job, 1, 1, "one", "two", "three")
            await a.logs(job, 1, 3, "three")
            await a.phase(job, 1, "completing")
            await a.phase(job, 1, "running")
            await a.ended(job, 1)
            await a.ended(job, 1, code=3)
            await a.until(job, "COMPLETED")
            await a.ended(job, 1, code=3)
            await a.hear("forget", job=job, fence=1)
        events = [e["event"] for e in cluster.api.ok("GET", f"/jobs/{job}/events?limit=100")["items"]]
        assert events == ["submit", "place", "run", "complete", "succeed"]
        assert texts(cluster, job) == [(1, "one"), (1, "two"), (1, "three")]
    asyncio.run(run())


def test_an_agent_that_comes_back_in_time_keeps_its_attempt(cluster):
    job = submit(cluster)
    a = FakeAgent(cluster, "a")

    async def run():
        async with a.connected():
            await a.hear("launch", job=job)
            await a.phase(job, 1, "running")
            await a.logs(job, 1, 1, "one")
            await a.hear("records_ack", next=2)
        async with a.connected([(job, 1, "running")]):
            assert a.welcome["keep"] == [{"job": job, "fence": 1, "metrics": 1, "logs": 2}] and a.welcome["drop"] == []
            await a.ended(job, 1)
            await a.hear("forget", job=job, fence=1)
        done = cluster.api.ok("GET", f"/jobs/{job}")
        assert done["attempt"] == 1 and done["state"] == "COMPLETED"
    asyncio.run(run())


def test_a_launch_that_was_not_heard_is_sent_again_with_the_same_number(cluster):
    a = FakeAgent(cluster, "a")

    async def run():
        async with a.connected():
            job = submit(cluster)
            await a.hear("launch", job=job, fence=1)
        async with a.connected():  # it went before it could begin
            await a.hear("launch", job=job, fence=1)
            await a.phase(job, 1, "running")
            await a.ended(job, 1)
            await a.hear("forget", job=job)
        assert cluster.api.ok("GET", f"/jobs/{job}")["attempt"] == 1
    asyncio.run(run())


def test_an_agent_that_forgot_a_running_attempt_gets_the_next_one(cluster):
    a = FakeAgent(cluster, "a")

    async def run():
        async with a.connected():
            job = submit(cluster)
            await a.hear("launch", job=job, fence=1)
            await a.phase(job, 1, "running")
            await a.until(job, "RUNNING")
        async with a.connected():
            await a.hear("launch", job=job, fence=2)
            await a.ended(job, 1)
            await a.hear("stop", job=job, fence=1)
            assert (await a.call("GET", f"/jobs/{job}"))["attempt"] == 2
            await a.ended(job, 2)
            await a.until(job, "COMPLETED")
    asyncio.run(run())


def test_when_one_node_of_a_job_is_lost_the_others_end_their_part(cluster):
    """Else the next attempt could run beside what is left of the last one."""
    a, b = FakeAgent(cluster, "a", cores=1), FakeAgent(cluster, "b", cores=1)

    async def run():
        async with b.connected():
            async with a.connected():
                job = submit(cluster, resources={"ranks": 2})
                await a.hear("launch", job=job, fence=1)
                await b.hear("launch", job=job, fence=1)
                await a.phase(job, 1, "running")
                await b.phase(job, 1, "running")
                await a.until(job, "RUNNING")
            await b.hear("stop", job=job, fence=1, reason="end")
            lost = await b.until(job, "PENDING")
            assert lost["attempt"] == 1
            await b.ended(job, 1)
            await b.hear("forget", job=job, fence=1)
            assert (await b.call("GET", f"/jobs/{job}"))["state"] == "PENDING", "the end of an old part is not the job's"
            await b.call("POST", f"/jobs/{job}/cancel")
    asyncio.run(run())


def test_a_cancelled_job_whose_node_is_lost_is_cancelled_not_tried_again(cluster):
    a = FakeAgent(cluster, "a")

    async def run():
        async with a.connected():
            job = submit(cluster)
            await a.hear("launch", job=job)
            await a.phase(job, 1, "running")
            await a.until(job, "RUNNING")
            await a.call("POST", f"/jobs/{job}/cancel")
            await a.hear("stop", job=job, fence=1, reason="cancel")
        assert (await a.until(job, "CANCELLED"))["attempt"] == 1
    asyncio.run(run())


def test_a_job_that_loses_node_after_node_is_given_up(cluster):
    a = FakeAgent(cluster, "a")

    async def run():
        job, fence = submit(cluster), 0
        while True:
            async with a.connected():
                j = await a.until(job, "STARTING", "NODE_FAIL")
                if j["state"] == "NODE_FAIL":
                    break
                assert j["attempt"] == fence + 1
                fence = j["attempt"]
                await a.hear("launch", job=job, fence=fence)
                await a.phase(job, fence, "running")
                await a.until(job, "RUNNING")
        assert 2 <= fence <= 10 and j["failure"]["reason"] == "node_lost" and "a" in j["failure"]["message"]
    asyncio.run(run())


def test_a_restarted_orchestrator_goes_on_counting(cluster):
    """The fence is in the database: no restart can give a number out twice."""
    a = FakeAgent(cluster, "a")

    async def run():
        job = submit(cluster)
        async with a.connected():
            await a.hear("launch", job=job, fence=1)
            await a.phase(job, 1, "running")
            await a.until(job, "RUNNING")
            cluster.orchestrator.kill()
        cluster.orchestrator.start()
        cluster.wait_ready()
        await a.until(job, "PENDING")  # nobody came to speak for it
        async with a.connected([(job, 1, "running")]):
            assert a.welcome["drop"] == [{"job": job, "fence": 1}]
            await a.hear("launch", job=job, fence=2)
            await a.ended(job, 2)
            await a.until(job, "COMPLETED")
    asyncio.run(run())
