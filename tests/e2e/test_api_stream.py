"""The event stream: replay, live, order, permission, slow readers, nonsense."""
import asyncio
import json

import pytest
import websockets

from checked import problem, server  # noqa: F401


class Stream:
    def __init__(self, ws):
        self.ws, self.next = ws, 1

    async def ask(self, op, topic=None, **more):
        message = {"op": op, "id": self.next, **({"topic": topic} if topic else {}), **more}
        self.next += 1
        await self.ws.send(json.dumps(message))
        return message["id"]

    async def get(self, seconds=20):
        return json.loads(await asyncio.wait_for(self.ws.recv(), seconds))

    async def events(self, n):
        return [await self.get() for _ in range(n)]


def stream(server, body, token=None):
    async def run():
        url = server.url.replace("http", "ws") + "/api/v1/stream"
        async with websockets.connect(url, subprotocols=["trainyard.v1"], extra_headers={"Authorization": f"Bearer {token or server.token}"}) as ws:
            assert ws.subprotocol == "trainyard.v1"
            await body(Stream(ws))
    asyncio.run(run())


def touch(server, name, n):
    for i in range(n):
        server.api.ok("PATCH", f"/tasks/{name}", json={"description": f"{i}"})


def test_a_new_subscriber_gets_all_then_what_is_new_in_order_and_once(server):
    server.api.ok("POST", "/tasks", json={"name": "s1"}, status=201)
    touch(server, "s1", 400)

    async def body(s):
        await s.ask("subscribe", "task/s1", since=0)
        first = await s.get()
        assert first == {"op": "subscribed", "id": 1, "topic": "task/s1", "seq": 401}
        live = asyncio.create_task(asyncio.to_thread(touch, server, "s1", 50))
        seqs = [e["seq"] for e in await s.events(451)]
        assert seqs == list(range(1, 452))
        await live
    stream(server, body)


def test_since_replays_only_what_was_missed(server):
    server.api.ok("POST", "/tasks", json={"name": "s2"}, status=201)
    touch(server, "s2", 9)

    async def body(s):
        await s.ask("subscribe", "task/s2", since=7)
        assert (await s.get())["seq"] == 10
        assert [e["seq"] for e in await s.events(3)] == [8, 9, 10]
        await s.ask("subscribe", "task/s2")  # again, only new ones
        assert (await s.get())["op"] == "subscribed"
        await asyncio.to_thread(touch, server, "s2", 1)
        event = await s.get()
        assert event["seq"] == 11 and event["data"] == {"what": "task", "action": "changed"}
        await s.ask("unsubscribe", "task/s2")
        assert (await s.get())["op"] == "unsubscribed"
        await asyncio.to_thread(touch, server, "s2", 1)
        await s.ask("ping")
        assert (await s.get())["op"] == "pong", "nothing comes of what was given up"
    stream(server, body)


def test_a_deleted_and_remade_task_goes_on_counting(server):
    server.api.ok("POST", "/tasks", json={"name": "s3"}, status=201)
    server.api.ok("DELETE", "/tasks/s3", status=204)
    server.api.ok("POST", "/tasks", json={"name": "s3"}, status=201)

    async def body(s):
        await s.ask("subscribe", "task/s3", since=0)
        await s.get()
        assert [(e["seq"], e["data"]["action"]) for e in await s.events(3)] == [(1, "created"), (2, "deleted"), (3, "created")]
    stream(server, body)


def test_topics_of_others_are_refused(server):
    ada = server.person("stream-ada")
    token = ada.ok("POST", "/tokens", json={"name": "t"}, status=201)["token"]
    server.api.ok("POST", "/tasks", json={"name": "s4"}, status=201)

    async def body(s):
        for topic in ("task/s4", "task/none", "job/1/state", "job/1/metrics", "nonsense", "task/../x", "job/x/state", "job/99999999999999999999/logs"):
            asked = await s.ask("subscribe", topic, since=0)
            answer = await s.get()
            assert answer["op"] == "error" and answer["id"] == asked, topic
        await s.ask("subscribe", "nodes")
        assert (await s.get())["op"] == "subscribed"
    stream(server, body, token)


def test_nonsense_is_answered_and_the_connection_stays(server):
    async def body(s):
        for text in ("", "x", "[]", "{}", '{"op":1}', '{"op":"subscribe"}', '{"op":"dance","topic":"queue"}',
                     '{"op":"subscribe","topic":"queue","since":-1}', '{"op":"subscribe","topic":"queue","since":"1"}',
                     '{"op":"subscribe","topic":"' + "a" * 500 + '"}', '{"op":"ping","id":"x"}'):
            await s.ws.send(text)
            assert (await s.get())["op"] == "error", text[:50]
        await s.ask("ping")
        assert (await s.get())["op"] == "pong"
        for i in range(70):
            await s.ask("subscribe", f"task/many-{i}", since=0)
        answers = [await s.get() for _ in range(70)]
        assert all(a["op"] == "error" for a in answers)
    stream(server, body)


def test_too_large_a_message_ends_the_connection(server):
    async def body(s):
        await s.ws.send("x" * 100_000)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await s.get()
        assert closed.value.rcvd.code == 1009
    stream(server, body)


def test_without_upgrade_it_says_what_it_is(server):
    problem(server.api.get("/stream"), 426, "WebSocket")


def test_a_slow_reader_misses_nothing_and_costs_little(server):
    """Its socket is full; the rest comes from the database when it reads again."""
    server.api.ok("POST", "/tasks", json={"name": "s5"}, status=201)
    rounds = 5000
    pg, db = server.postgres, server.database.split("///")[1].split("?")[0]
    pg.sql(f"SELECT count(topic_event('task/s5', json_build_object('what', repeat('x', 4000)))) FROM generate_series(1, {rounds})", db)

    async def body(s):
        await s.ask("subscribe", "task/s5", since=0)
        await asyncio.sleep(1)  # not reading: 20 MB wait, in the database
        await asyncio.to_thread(touch, server, "s5", 20)
        seqs, lagged = [], 0
        while len(seqs) < rounds + 21:
            m = await s.get()
            if m["op"] == "event":
                seqs.append(m["seq"])
            lagged += m["op"] == "lagged"
        assert seqs == list(range(1, rounds + 22))
    async def run():
        url = server.url.replace("http", "ws") + "/api/v1/stream"
        async with websockets.connect(url, subprotocols=["trainyard.v1"], extra_headers={"Authorization": f"Bearer {server.token}"}, max_queue=1, read_limit=4096) as ws:
            await body(Stream(ws))
    asyncio.run(run())
