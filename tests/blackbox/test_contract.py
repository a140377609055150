"""The server keeps the contract that it publishes: Schemathesis makes requests from the OpenAPI document, right and wrong
ones, and looks at every answer: no 5xx, only documented statuses, media types, headers and shapes, wrong input refused, right
input not refused for its shape, methods and credentials as documented.

The version is fixed (tools/schemathesis.txt), and so is the seed: the same requests every time."""

import json
import re
import socket
import subprocess
import threading
from itertools import count

import pytest
from harness.process import ROOT

pytestmark = [pytest.mark.api, pytest.mark.slow]

SEED = 20
TOOL = ROOT / "tools" / "schemathesis"

EXCLUDED = {
    "streamEvents": "a stream has no end to wait for; ?follow= is taken out for the same reason",
    "streamLogs": "a WebSocket",
    "putSource": "its body is an archive, which Schemathesis cannot make",
    "runGc": "it asks the engine, and there is none here",
}
# Only the server can make a cursor, and times before 1970 are refused: what fits the schema is not right yet.
TAKEN_OUT = ("follow", "cursor", "since", "until")

# Bounds of quantities ("10m" to "256") are more than JSON Schema can say of a string: what fits it may still be refused.
BOUNDED = ("createService", "updateService", "putSpec")
CONFIGURATION = """
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 415, 429]
""" + "".join(f"""
[[operations]]
include-operation-id = "{name}"
checks.positive_data_acceptance.enabled = false
""" for name in BOUNDED)


class Scatter:
    """Passes connections on, each from another address of loopback: failed sign-ins are counted per address, and the
    checks of credentials make many."""

    def __init__(self, host, port):
        self.target = (host, port)
        self.numbers = count(1)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            number = next(self.numbers)
            source = (f"127.{1 + number // 62500 % 200}.{1 + number // 250 % 250}.{1 + number % 250}", 0)
            server = socket.create_connection(self.target, 10, source)
            server.settimeout(None)
            threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client, server):
        with client, server:
            back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
            back.start()
            self._copy(client, server)
            back.join()

    def _copy(self, one, other):
        try:
            while piece := one.recv(65536):
                other.sendall(piece)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.fixture(scope="module")
def schemathesis():
    done = subprocess.run([TOOL, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return TOOL


@pytest.fixture
def daemon(switchyard):
    """One store will do: what is looked at stands before it."""
    return switchyard().start()


@pytest.fixture
def scatter(daemon):
    host, port = daemon.over_tcp().endpoint.removeprefix("http://").split(":")
    scatter = Scatter(host, int(port))
    yield scatter
    scatter.close()


def test_answers_are_as_the_contract_says(schemathesis, daemon, scatter, tmp_path, is_long):
    body = {"name": "contract", "scopes": ["admin"]}
    token = daemon.client.post("/v1/user/tokens", body).expect(201).json["token"]
    document = daemon.client.get("/v1/openapi.json").expect(200).json
    for schema in document["components"]["schemas"].values():
        # Read-only members are taken and ignored, whatever they hold: there is nothing to test about them.
        for part in (schema, *schema.get("anyOf", ())):
            part.pop("patternProperties", None)
    for methods in document["paths"].values():
        for operation in methods.values():
            if isinstance(operation, dict):
                operation["parameters"] = [p for p in operation.get("parameters", ()) if p["name"] not in TAKEN_OUT]
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    contract = tmp_path / "openapi.json"
    contract.write_text(json.dumps(document))
    report = tmp_path / "report.json"
    arguments = [
        str(schemathesis), "--config-file", str(tmp_path / "schemathesis.toml"), "run", str(contract), "--url", scatter.url,
        "--header", f"Authorization: Bearer {token}", "--seed", str(SEED), "--workers", "1",
        "--max-examples", "200" if is_long else "5", "--request-timeout", "30", "--continue-on-failure",
        "--generation-database", "none", "--generation-allow-x00", "false", "--generation-codec", "ascii", "--suppress-health-check", "all",  "--warnings", "off", "--report", "json", "--report-json-path", str(report),
        *(word for name in EXCLUDED for word in ("--exclude-operation-id", name)),
    ]  # fmt: skip
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=tmp_path,
                          timeout=3 * 3600 if is_long else 600)  # fmt: skip
    words = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    daemon.check_reports()
    told = json.loads(report.read_text()) if report.exists() else {}
    print(f"\ncontract: {told.get('operations')}, {told.get('test_cases')}")
    listing = "\n".join(f"{f['code']} {f['title']}: {', '.join(f['operations'])}" for f in told.get("failures", ()))
    short = "\n".join(line[:300] for line in words.splitlines())
    (tmp_path / "words.txt").write_text(short)
    assert done.returncode == 0, f"{listing}\n{short[-8000:]}\n{done.stderr[-2000:]}"
    assert told["operations"]["tested"] >= 55 and told["test_cases"]["generated"] > 1000, told
