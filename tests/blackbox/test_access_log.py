"""The edge's access log: whole lines, bounded, whoever comes and goes."""

import json
import os
import signal

import pytest
from harness.daemon import Daemon
from harness.process import processes_naming, wait_until

MEBIBYTE = 1 << 20


@pytest.fixture
def daemon(haproxy):
    """An edge needs no engine to say that it knows no host."""
    daemon = Daemon(roles="api,reconcile").start()
    yield daemon
    daemon.stop()
    os.kill(int((daemon.data / "edge/haproxy.pid").read_text()), signal.SIGTERM)
    wait_until(lambda: not processes_naming(str(daemon.data)), 20, "HAProxy and the writer of its log have ended")
    daemon.close()


def entries(log):
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def ask(daemon, edge, path):
    edge.get(path, Host="nobody.localhost").expect(404)
    log = daemon.data / "edge/access.log"
    wait_until(lambda: any(entry["path"] == path for entry in entries(log)), 10, f"{path} is in the access log")


def test_log_is_bounded_and_goes_on(daemon):
    log, full = daemon.data / "edge/access.log", daemon.data / "edge/access.log.1"
    for number in range(3):
        ask(daemon, daemon.edge, f"/{number}")
    for turn in ("first", "second"):
        with open(log, "ab") as file:
            file.write((b"x" * 99 + b"\n") * (33 * MEBIBYTE // 100))
        daemon.edge.get(f"/{turn}-last", Host="nobody.localhost").expect(404)
        wait_until(lambda: not log.exists() or log.stat().st_size < MEBIBYTE, 10, "a full log is put aside")
        assert full.stat().st_size > 32 * MEBIBYTE
        assert json.loads(full.read_bytes().splitlines()[-1])["path"] == f"/{turn}-last"
        ask(daemon, daemon.edge, f"/{turn}-next")
    assert b"\0" not in log.read_bytes() and len(entries(log)) == 1


def test_log_goes_on_while_switchyard_is_away_and_after_haproxy_was_killed(daemon):
    edge = daemon.edge
    ask(daemon, edge, "/before")
    daemon.kill()
    ask(daemon, edge, "/away")
    daemon.start()
    ask(daemon, daemon.edge, "/back")
    master = int((daemon.data / "edge/haproxy.pid").read_text())
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: haproxy_of(daemon) not in (None, master), 20, "another HAProxy serves")
    ask(daemon, daemon.edge, "/new")
    paths = [entry["path"] for entry in entries(daemon.data / "edge/access.log") if entry["path"] != "/"]
    assert paths == ["/before", "/away", "/back", "/new"]
    writers = lambda: [pid for pid, words in processes_naming(str(daemon.data)) if "edge-log" in words]  # noqa: E731
    wait_until(lambda: len(writers()) == 1, 10, "the killed HAProxy's writer has ended")


def haproxy_of(daemon):
    try:
        daemon.edge.get("/", Host="nobody.localhost")
        return int((daemon.data / "edge/haproxy.pid").read_text())
    except (OSError, ValueError, KeyError):
        return None


def test_visitors_do_not_notice_that_the_writer_was_killed(daemon):
    ask(daemon, daemon.edge, "/before")
    for pid, words in processes_naming(str(daemon.data)):
        if "edge-log" in words:
            os.kill(pid, signal.SIGKILL)
    for _ in range(20):
        daemon.edge.get("/after", Host="nobody.localhost").expect(404)
