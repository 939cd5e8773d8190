"""An agent that says what a test has it say: late, twice, or after its node was given up."""
import asyncio
import contextlib
import json
import time

import websockets

from conftest import PATIENCE, Api


class FakeAgent:
    def __init__(self, cluster, node, cores=2):
        self.cluster, self.node, self.cores = cluster, node, cores
        join = (cluster.state / "join.token").read_text().strip()
        self.token = Api(cluster.url, join).ok("POST", "/agent/v1/register", json={"node": node}, status=201)["token"]

    @contextlib.asynccontextmanager
    async def connected(self, attempts=()):
        """One session, from hello to the close; attempts: [(job, fence, phase)] that it says it has."""
        url = self.cluster.url.replace("http", "ws") + "/agent/v1"
        async with websockets.connect(url, subprotocols=["trainyard.agent.v1"], extra_headers={"Authorization": f"Bearer {self.token}"}) as ws:
            self.ws, self.sent, self.received, self.messages = ws, 0, 0, []
            await self.say("hello", node=self.node, version="1", boot="b", cores=self.cores, memory_bytes=1 << 30, gpus=[], hostname=self.node,
                           attempts=[{"job": j, "fence": f, "phase": p} for j, f, p in attempts])
            self.welcome = await self.hear("welcome")
            yield self

    async def say(self, type, **fields):
        self.sent += 1
        await self.ws.send(json.dumps({"type": type, "seq": self.sent, "ack": self.received, **fields}))

    async def hear(self, type, **fields):
        """The next message of this type with these fields; others are kept for later, each heard once."""
        def wanted(m):
            return m["type"] == type and all(m.get(k) == v for k, v in fields.items())
        end = time.monotonic() + 30 * PATIENCE
        while True:
            for m in self.messages:
                if wanted(m):
                    self.messages.remove(m)
                    return m
            m = json.loads(await asyncio.wait_for(self.ws.recv(), max(0.01, end - time.monotonic())))
            self.received = m.get("seq", self.received)
            self.messages.append(m)

    async def phase(self, job, fence, phase):
        await self.say("phase", job=job, fence=fence, phase=phase, at=time.time())

    async def logs(self, job, fence, first, *texts):
        await self.say("records", job=job, fence=fence, stream="logs", first=first, lines=[{"t": 1.0, "stream": "stdout", "rank": None, "text": t} for t in texts])

    async def ended(self, job, fence, code=0):
        await self.say("ended", job=job, fence=fence, exit_code=code, signal=0, reason="exit", message="", at=time.time(), tail=[])

    async def call(self, method, path, **kw):
        """The HTTP API, without keeping the session waiting."""
        return await asyncio.to_thread(self.cluster.api.ok, method, path, **kw)

    async def until(self, job, *states, attempt=None):
        end = time.monotonic() + 30 * PATIENCE
        while True:
            j = await self.call("GET", f"/jobs/{job}")
            if j["state"] in states and attempt in (None, j["attempt"]):
                return j
            assert time.monotonic() < end, f"job {job} is {j['state']} in attempt {j['attempt']}, not {states} in {attempt}"
            await asyncio.sleep(0.05)
