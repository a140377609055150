"""HTTP as a client of the API speaks it: over the unix socket or TCP, one connection per request."""

import http.client
import json
import socket
from dataclasses import dataclass


@dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    request: str  # "GET /v1/projects", for messages

    @property
    def json(self):
        return json.loads(self.body)

    def __str__(self):
        return f"{self.request} → {self.status} {self.body[:2000].decode(errors='replace')}"

    def expect(self, status):
        """The reply itself, when it has this status; the assertion shows request and reply."""
        assert self.status == status, f"expected {status}: {self}"
        return self

    def expect_problem(self, status, code):
        """RFC 9457, and what this API adds to it."""
        self.expect(status)
        assert self.headers.get_content_type() == "application/problem+json", str(self)
        problem = self.json
        assert problem["code"] == code, str(self)
        for member in ("type", "title", "status", "detail", "error", "hint", "request_id"):
            assert member in problem, f"no {member} in {self}"
        assert problem["status"] == status, str(self)
        assert problem["error"] == problem["detail"], str(self)
        assert problem["request_id"] == self.headers["X-Request-Id"], str(self)
        return problem


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Client:
    """endpoint: unix:PATH or http://HOST:PORT. With a token it is sent as a bearer."""

    def __init__(self, endpoint, token=None, timeout=30):
        self.endpoint = endpoint
        self.token = token
        self.timeout = timeout

    def connection(self):
        if self.endpoint.startswith("unix:"):
            return UnixConnection(self.endpoint.removeprefix("unix:"), self.timeout)
        return http.client.HTTPConnection(self.endpoint.removeprefix("http://").rstrip("/"), timeout=self.timeout)

    def with_token(self, token):
        return Client(self.endpoint, token, self.timeout)

    def call(self, method, path, body=None, headers=None):
        sent = {}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        connection = self.connection()
        try:
            connection.request(method, path, body, sent)
            reply = connection.getresponse()
            return Reply(reply.status, reply.headers, reply.read(), f"{method} {path}")
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.call("GET", path, None, {name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path, body=None, headers=None):
        return self.call("POST", path, body if body is not None else {}, headers)

    def patch(self, path, body, headers=None):
        return self.call("PATCH", path, body, headers)

    def put(self, path, body, headers=None):
        return self.call("PUT", path, body, headers)

    def delete(self, path, headers=None):
        return self.call("DELETE", path, None, headers)

    def events(self, path, headers=None, seconds=30):
        """Server-sent events as (id, event, data), until the stream or the time ends."""
        connection = self.connection()
        connection.timeout = seconds
        sent = {"Accept": "text/event-stream"}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        try:
            connection.request("GET", path, None, {**sent, **(headers or {})})
            reply = connection.getresponse()
            assert reply.status == 200, f"GET {path} → {reply.status} {reply.read(2000)!r}"
            fields = {}
            for raw in reply:
                line = raw.decode().rstrip("\r\n")
                if not line and fields:
                    yield fields.get("id"), fields.get("event", "message"), fields.get("data", "")
                    fields = {}
                elif line and not line.startswith(":"):
                    name, _, value = line.partition(":")
                    value = value.removeprefix(" ")
                    fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value
        finally:
            connection.close()
