"""An orchestrator for the agent's tests: HTTP and WebSocket in one small threaded server, with nothing behind it.

It checks what an orchestrator relies on: sequence numbers without gaps, records that never change once given, artifacts whose
bytes are there. Tests steer it: it may refuse tokens, withhold acknowledgements, cut connections, or be away for a while.
"""
import base64
import hashlib
import json
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WS_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Session:
    """One agent's WebSocket, server side."""

    def __init__(self, handler, node):
        self.handler, self.node = handler, node
        self.sent = self.received = 0
        self.lock = threading.Lock()
        self.open = True

    def frame(self, opcode, payload):
        n = len(payload)
        head = struct.pack("!BB", 0x80 | opcode, n) if n < 126 else struct.pack("!BBH", 0x80 | opcode, 126, n) if n < 65536 else \
            struct.pack("!BBQ", 0x80 | opcode, 127, n)
        self.handler.wfile.write(head + payload)
        self.handler.wfile.flush()

    def send(self, type, sequenced=True, **fields):
        with self.lock:
            doc = {"type": type, "ack": self.received, **fields}
            if sequenced:
                self.sent += 1
                doc["seq"] = self.sent
            try:
                self.frame(1, json.dumps(doc).encode())
            except OSError:
                self.open = False

    def read_exactly(self, n):
        data = self.handler.rfile.read(n)
        if data is None or len(data) < n:
            raise ConnectionError
        return data

    def messages(self):
        """Whole text messages until the connection ends."""
        parts = b""
        while True:
            try:
                b0, b1 = self.read_exactly(2)
                n = b1 & 127
                if n == 126:
                    n, = struct.unpack("!H", self.read_exactly(2))
                elif n == 127:
                    n, = struct.unpack("!Q", self.read_exactly(8))
                assert b1 & 128, "a client's frames are masked"
                mask = self.read_exactly(4)
                data = self.read_exactly(n)
            except (ConnectionError, OSError, ValueError):
                return
            data = bytes(a ^ b for a, b in zip(data, (mask * (n // 4 + 1))[:n])) if n < 4096 else \
                (int.from_bytes(data, "big") ^ int.from_bytes((mask * (n // 4 + 1))[:n], "big")).to_bytes(n, "big")
            opcode = b0 & 15
            if opcode == 8:
                return
            if opcode == 9:
                with self.lock:
                    self.frame(10, data)
            if opcode in (0, 1):
                parts += data
                if b0 & 128:
                    yield json.loads(parts)
                    parts = b""

    def close(self):
        self.open = False
        try:
            self.handler.connection.shutdown(2)
        except OSError:
            pass


class Attempt:
    def __init__(self, nodes):
        self.nodes = nodes
        self.lines = {"metrics": [], "logs": []}
        self.phases, self.artifacts, self.ended = [], {}, {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def token(self):
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def answer(self, status, body=b"", headers=()):
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for k, v in headers:
            self.send_header(k, v)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def node(self):
        node = self.server.fake.tokens.get(self.token())
        if not node:
            self.close_connection = True
            self.answer(401, {"title": "Unauthorized", "status": 401})
        return node

    def do_POST(self):
        fake = self.server.fake
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/agent/v1/register" or self.token() != fake.join_token:
            return self.answer(401, {"title": "Unauthorized", "status": 401})
        fake.registrations += 1
        token = f"agent-token-{fake.registrations}"
        fake.tokens[token] = body["node"]
        self.answer(201, {"node": body["node"], "token": token})

    def do_HEAD(self):
        if self.node():
            self.answer(200 if self.path.rsplit("/", 1)[1] in self.server.fake.blobs else 404)

    def do_PUT(self):
        fake = self.server.fake
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.node():
            return
        digest = self.path.rsplit("/", 1)[1]
        if hashlib.sha256(data).hexdigest() != digest:
            return self.answer(422, {"title": "digest", "status": 422})
        fake.puts.append(digest)
        fake.blobs[digest] = data
        self.answer(201)

    def do_GET(self):
        fake = self.server.fake
        node = self.node()
        if not node:
            return
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.websocket(fake, node)
        digest = self.path.rsplit("/", 1)[1]
        fake.gets.append(digest)
        data = fake.blobs.get(digest)
        self.answer(*((404,) if data is None else (200, data)))

    def websocket(self, fake, node):
        assert self.path == "/agent/v1", self.path
        assert self.headers["Sec-WebSocket-Protocol"] == "trainyard.agent.v1"
        key = base64.b64encode(hashlib.sha1((self.headers["Sec-WebSocket-Key"] + WS_GUID).encode()).digest()).decode()
        self.send_response(101)
        for k, v in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", key),
                     ("Sec-WebSocket-Protocol", "trainyard.agent.v1")):
            self.send_header(k, v)
        self.end_headers()
        self.wfile.flush()
        session = Session(self, node)
        for message in session.messages():
            fake.take(session, message)
        session.open = False
        self.close_connection = True


class FakeOrchestrator:
    def __init__(self, join_token="join"):
        self.join_token = join_token
        self.blobs, self.tokens = {}, {}
        self.gets, self.puts, self.hellos, self.problems = [], [], [], []
        self.registrations = 0
        self.attempts, self.sessions = {}, {}
        self.heartbeats = 0
        self.acknowledge = self.forget = True
        self.unacknowledged = {"metrics": 0, "logs": 0}  # last line of each stream, while nothing is acknowledged
        self.lock = threading.RLock()
        self.port = 0
        self.server = None
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        ThreadingHTTPServer.allow_reuse_address = True
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.server.fake = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        """Go away, with all connections."""
        self.server.shutdown()
        self.server.server_close()
        self.cut()

    def cut(self):
        with self.lock:
            for s in self.sessions.values():
                s.close()

    def blob(self, data):
        if isinstance(data, str):
            data = data.encode()
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return digest

    def ready(self, node):
        s = self.sessions.get(node)
        return s if s and s.open else None

    # ---- what an agent says ----

    def take(self, session, m):
        with self.lock:
            if "seq" in m:
                if m["seq"] != session.received + 1:
                    self.problems.append(f"seq {m['seq']} after {session.received}")
                session.received = m["seq"]
            if m["ack"] > session.sent:
                self.problems.append(f"ack {m['ack']} of {session.sent}")
            getattr(self, "on_" + m["type"])(session, m)
        if "seq" in m and self.acknowledge:
            session.send("ack", sequenced=False)

    def on_ack(self, session, m):
        pass

    def on_heartbeat(self, session, m):
        self.heartbeats += 1

    def on_hello(self, session, m):
        assert m["node"] == session.node
        self.hellos.append(m)
        keep, drop = [], []
        for a in m["attempts"]:
            key = (a["job"], a["fence"])
            known = self.attempts.get(key)
            if known:
                keep.append({"job": a["job"], "fence": a["fence"], "metrics": len(known.lines["metrics"]) + 1, "logs": len(known.lines["logs"]) + 1})
            else:
                drop.append({"job": a["job"], "fence": a["fence"]})
        self.sessions[session.node] = session
        session.send("welcome", node=session.node, keep=keep, drop=drop)

    def attempt(self, m):
        a = self.attempts.get((m["job"], m["fence"]))
        if a is None:
            self.problems.append(f"unknown attempt in {m}")
        return a

    def on_phase(self, session, m):
        a = self.attempt(m)
        if m["phase"] not in a.phases:
            a.phases.append(m["phase"])

    def on_records(self, session, m):
        a = self.attempt(m)
        lines = a.lines[m["stream"]]
        if m["first"] > max(len(lines), 0 if self.acknowledge else self.unacknowledged[m["stream"]]) + 1:
            self.problems.append(f"{m['stream']}: gap: {m['first']} after {len(lines)}")
            return
        if len(m["lines"]) > 256:
            self.problems.append("too many lines in one message")
        for i, record in enumerate(m["lines"], m["first"]):
            if i <= len(lines):
                if lines[i - 1] != record:
                    self.problems.append(f"{m['stream']} line {i} changed: {lines[i - 1]} -> {record}")
            elif self.acknowledge:
                lines.append(record)
        if self.acknowledge:
            session.send("records_ack", job=m["job"], fence=m["fence"], stream=m["stream"], next=len(lines) + 1)
        else:
            self.unacknowledged[m["stream"]] = m["first"] + len(m["lines"]) - 1

    def on_artifact(self, session, m):
        a = self.attempt(m)
        if len(self.blobs.get(m["digest"], b"")) != m["size"]:
            self.problems.append(f"artifact without its bytes: {m}")
        a.artifacts[m["name"]] = m

    def on_ended(self, session, m):
        a = self.attempt(m)
        a.ended[session.node] = m
        if self.forget:
            session.send("forget", job=m["job"], fence=m["fence"])

    def relay(self, session, m):
        if m["from"] != session.node:
            self.problems.append(f"{session.node} says it is {m['from']}")
        a = self.attempts.get((m["job"], m["fence"]))
        to = self.ready(m["to"]) if a and m["to"] in a.nodes else None
        body = {k: v for k, v in m.items() if k not in ("type", "seq", "ack")}
        if to:
            to.send(m["type"], **body)
        elif m["type"] == "spawn":
            session.send("spawn_exit", job=m["job"], fence=m["fence"], **{"from": m["to"], "to": m["from"]}, id=m["id"], exit_code=255, signal=0,
                         message="not reachable")

    on_spawn = on_spawn_output = on_spawn_exit = on_spawn_stop = relay

    # ---- what tests say ----

    def launch(self, node, job, launch, fence=1, nodes=None):
        a = self.attempts[(job, fence)] = Attempt(nodes or [node])
        for n in a.nodes:
            self.sessions[n].send("launch", job=job, fence=fence, launch=launch)
        return a

    def stop_job(self, node, job, fence=1, reason="cancel", grace=1.0):
        self.sessions[node].send("stop", job=job, fence=fence, reason=reason, grace_seconds=grace)
